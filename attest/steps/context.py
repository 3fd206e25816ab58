"""What the steps of a run share: how they reach the world, what the operator chose, and the attempt they work on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from attest.chain.rpc import ChainClient
from attest.config import Config, Loaded
from attest.custody.evidence import Evidence
from attest.custody.sealing import Cipher
from attest.errors import ConflictError
from attest.period import Period
from attest.runs import RunArea
from attest.signing.signer import DigestSigner, NoteSigner
from attest.signing.transaction import TransactionSigner
from attest.store import Store

T = TypeVar("T")


class Narrator(Protocol):
    """Who tells the operator what happens: the terminal, a log, or nobody."""

    def begin(self, step: str) -> None:
        """A step begins."""

    def progress(self, text: str) -> None:
        """What a step is waiting for."""

    def done(self, step: str, summary: str, *, stored: bool) -> None:
        """A step is done; ``stored``: its artifact was already there."""


class Keys(Protocol):
    """The keys that this operator holds, opened when they are first used."""

    def transactions(self, address: str) -> TransactionSigner:
        """A reporter's or the publisher's key."""

    def attestor(self, address: str) -> DigestSigner:
        """A statement key."""

    def log(self) -> NoteSigner:
        """The log's Ed25519 key."""


class Post(Protocol):
    """An HTTP POST to a witness or a time-stamping authority."""

    def __call__(self, url: str, body: bytes, content_type: str = ...) -> tuple[int, bytes]:
        """Status and body; raises ``OSError`` when it cannot be reached."""


@dataclass(frozen=True)
class Environment:
    """All that a run reaches the world by; nothing else in the pipeline knows a clock, a network or a disk."""

    loaded: Loaded
    private: Store
    public: Store
    clients: Mapping[str, ChainClient]
    keys: Keys
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    token_bytes: Callable[[int], bytes]
    post: Post
    narrator: Narrator
    cipher: Cipher | None = None

    @property
    def config(self) -> Config:
        return self.loaded.config

    @property
    def evidence(self) -> Evidence:
        """Where custodians' documents are kept."""
        return Evidence(self.private, self.cipher)

    def client(self, chain: str) -> ChainClient:
        return self.clients[chain]


@dataclass(frozen=True)
class Choices:
    """What the operator decided for this run: changes acknowledged, tokens withheld."""

    acknowledge: tuple[str, ...] = ()
    withhold: tuple[str, ...] = ()


NO_CHOICES = Choices()


@dataclass
class Run:
    """One call of the pipeline on one attempt: the environment, the run area, and the artifacts as steps yield them.

    ``publishes``: this call is to go on to the last step, so what those need is checked before anything is sent.
    """

    environment: Environment
    area: RunArea
    choices: Choices = NO_CHOICES
    publishes: bool = False

    @property
    def config(self) -> Config:
        return self.environment.config

    @property
    def period(self) -> Period:
        return self.area.period

    def take(self, name: str, cls: type[T]) -> T:
        """An artifact of an earlier step; raises :class:`ConflictError` if it vanished."""
        record = self.area.stored(name, cls)
        if record is None:
            raise ConflictError(
                f"{self.area.key(name)} is missing",
                code="artifact-conflict",
                reason="A later step is asked for before this one was stored.",
                advice="Run `attest run` again; if it persists, find out who has write access to the store.",
            )
        return record
