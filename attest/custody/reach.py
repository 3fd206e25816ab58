"""What a source is asked for, and what it is reached by: the arguments of everything that fetches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from attest import secrets
from attest.config import Account, Connection, Loaded, Source
from attest.custody.location import late
from attest.model import BalanceKind, Block

if TYPE_CHECKING:
    from attest.chain.rpc import ChainClient
    from attest.custody.http import HttpClient


@dataclass(frozen=True)
class Asked:
    """One question to one source. ``where`` names account and source in messages; ``location`` has its period in place;
    ``external_account`` is what the custodian calls the account (IBAN, number, address); ``cutoff`` is aware."""

    where: str
    period: str
    cutoff: datetime
    location: str
    connection: Connection | None
    external_account: str
    currency: str
    balance_kind: BalanceKind
    zone: str | None

    @classmethod
    def of(cls, loaded: Loaded, name: str, account: Account, source: Source, period: str, cutoff: datetime) -> Asked:
        """The question to ``source`` of the account ``name``."""
        connection = None if source.connection is None else loaded.config.connections[source.connection]
        return cls(
            where=f"account {name}, source {source.id}",
            period=period,
            cutoff=cutoff,
            location=source.location.replace("{period}", period),
            connection=connection,
            external_account=account.external_account,
            currency=account.currency,
            balance_kind=account.balance_kind,
            zone=zone_of(account),
        )


def zone_of(account: Account) -> str | None:
    """The account's time zone if it is configured: the default says what a date means, but not what a local time is."""
    return account.zone if "zone" in account.model_fields_set else None


@dataclass
class Reach:
    """How sources are reached during one collection. ``base`` is what paths are relative to; ``clients`` are the chains
    by their names; ``until`` is the collection's deadline by ``clock`` (seconds that never run backwards)."""

    base: Path
    http: HttpClient
    clients: Mapping[str, ChainClient]
    until: float
    clock: Callable[[], float] = time.monotonic
    finality: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._blocks: dict[tuple[str, int], Block] = {}
        self._turns = {name: threading.Lock() for name in self.clients}
        self._shared: dict[Hashable, Any] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def secret(self, reference: str) -> str:
        """The value behind a secret reference; raises :class:`OperatorError` naming the reference."""
        return secrets.resolve(reference, base=self.base).reveal()

    def remaining(self, where: str) -> float:
        """Seconds until the deadline. Raises :class:`SourceError` (``deadline``) naming ``where`` when it is over."""
        left = self.until - self.clock()
        if left <= 0:
            raise late(where)
        return left

    def shared(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What all sources that need it use together in this collection (a cloud's client, a server's places): made
        when it is first asked for."""
        with self._lock:
            if key not in self._shared:
                self._shared[key] = make()
            return self._shared[key]

    def block_at(self, chain: str, cutoff: datetime) -> Block:
        """The chain's last block at or before ``cutoff`` whose successor is final, looked up once. Raises
        :class:`ChainError`."""
        key = chain, int(cutoff.timestamp())
        with self.client(chain) as client:
            if key not in self._blocks:
                self._blocks[key] = client.block_at(key[1], self.finality.get(chain, "instant"))
            return self._blocks[key]

    @contextmanager
    def client(self, chain: str) -> Iterator[ChainClient]:
        """The chain's client, for one source at a time: it is not for several threads at once."""
        with self._turns[chain]:
            yield self.clients[chain]
