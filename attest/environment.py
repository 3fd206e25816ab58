"""Builds what a run reaches the world by from a configuration: stores, chains, keys, clock, HTTP. The one place where
the parts are put together."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from attest.config import Loaded, Signer
from attest.errors import OperatorError
from attest.secrets import Secret, resolve
from attest.store import open_store

if TYPE_CHECKING:
    from attest.chain.rpc import ChainClient
    from attest.custody.sealing import Cipher
    from attest.signing.signer import DigestSigner, NoteSigner
    from attest.signing.transaction import TransactionSigner
    from attest.steps.context import Environment, Narrator

#: How long a witness or a time-stamping authority has for its whole answer.
_POST_SECONDS = 10
_Opened = TypeVar("_Opened")


def clock(loaded: Loaded) -> Callable[[], datetime]:
    """The system's clock in UTC, or the time that a rehearsal's configuration pins."""
    pinned = loaded.config.schedule.clock
    if pinned is None:
        return lambda: datetime.now(UTC).replace(microsecond=0)
    instant = pinned.astimezone(UTC).replace(microsecond=0)
    return lambda: instant


def connect_chains(loaded: Loaded) -> dict[str, ChainClient]:
    """A client for each configured chain, by its name. Nothing is sent yet."""
    from attest.chain.rpc import connect

    return {name: connect(chain, name=name, base=loaded.base) for name, chain in loaded.config.chains.items()}


@dataclass
class ConfiguredKeys:
    """The keys of ``[signing]``, each opened when first used, its address compared with the pinned one."""

    loaded: Loaded

    def __post_init__(self) -> None:
        self._senders: dict[str, TransactionSigner] = {}
        self._attestors: dict[str, DigestSigner] = {}
        self._log: NoteSigner | None = None

    def transactions(self, address: str) -> TransactionSigner:
        from attest.signing.transaction import open_transaction_signer

        signing = self.loaded.config.signing
        return self._open(address, (*signing.reporters, signing.publisher), self._senders, open_transaction_signer)

    def attestor(self, address: str) -> DigestSigner:
        from attest.signing.signer import open_digest_signer

        return self._open(address, self.loaded.config.signing.own_attestors, self._attestors, open_digest_signer)

    def log(self) -> NoteSigner:
        from attest.log.note import parse_vkey
        from attest.signing.signer import open_note_signer

        if self._log is None:
            key = self.loaded.config.signing.log
            self._log = open_note_signer(
                key.uri,
                public_key=parse_vkey(key.vkey, "signing.log.vkey", OperatorError).public_key,
                password=self._password(key.password),
                base=self.loaded.base,
            )
        return self._log

    def _open(
        self, address: str, among: tuple[Signer, ...], opened: dict[str, _Opened], opener: Callable[..., _Opened]
    ) -> _Opened:
        if address not in opened:
            key = next(signer for signer in among if signer.address == address)
            opened[address] = opener(
                key.uri, address=key.address, password=self._password(key.password), base=self.loaded.base
            )
        return opened[address]

    def _password(self, reference: str | None) -> Secret | None:
        return None if reference is None else resolve(reference, base=self.loaded.base)


def evidence_cipher(loaded: Loaded) -> Cipher | None:
    """What seals evidence, if a key is configured. The key is fetched when it is first used."""
    from attest.custody.sealing import Cipher

    key = loaded.config.stores.evidence_key
    return None if key is None else Cipher(key, lambda reference: resolve(reference, base=loaded.base).reveal())


def post(url: str, body: bytes, content_type: str = "text/plain; charset=utf-8") -> tuple[int, bytes]:
    """POST to a witness or a time-stamping authority; returns status and body. Raises ``OSError`` when it cannot be
    reached, without the URL, which may carry credentials."""
    from attest.posting import HttpTransport, TransportFault

    try:
        reply = HttpTransport(_POST_SECONDS, content_type=content_type).post(url, body)
    except TransportFault as fault:
        raise OSError(f"no answer ({fault.detail})") from None
    return reply.status, reply.body[: 1 << 16]


def build(
    loaded: Loaded, narrator: Narrator, *, rehearsal: bool = False, chains: Mapping[str, ChainClient] | None = None
) -> Environment:
    """The environment of a run. ``rehearsal``: stores are read, but everything written stays in memory."""
    from attest.steps.context import Environment
    from attest.store import OverlayStore, Store

    stores = loaded.config.stores
    private: Store = open_store(stores.private, base=loaded.base, secret=True)
    public: Store = open_store(stores.public, base=loaded.base)
    if rehearsal:
        private, public = OverlayStore(private), OverlayStore(public)
    return Environment(
        loaded=loaded,
        private=private,
        public=public,
        clients=connect_chains(loaded) if chains is None else chains,
        keys=ConfiguredKeys(loaded),
        now=clock(loaded),
        sleep=time.sleep,
        token_bytes=secrets.token_bytes,
        post=post,
        narrator=narrator,
        cipher=evidence_cipher(loaded),
    )
