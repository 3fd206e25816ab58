"""What the checks look at: a bundle's files, the auditor's trust, time and endpoints; documents are parsed on demand.

A check that needs a document that another check already found unreadable is *skipped*, not failed twice:
:class:`UnavailableError` carries why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

from attest import statement
from attest.documents import Manifest, Predicate, Receipts, Reserves, Statement
from attest.errors import VerificationError
from attest.log.checkpoint import Cosignature
from attest.log.proof import LoggedEntry, verify_log_proof
from attest.period import Period
from attest.records import digest, from_json
from attest.signing import dsse
from attest.verify.bundle import ENVELOPE, LOG_PROOF, RECEIPTS, RESERVES, check_manifest
from attest.verify.trust import Trust

T = TypeVar("T")

#: Calls one JSON-RPC method with its parameters and returns the result; raises :class:`EndpointError`.
Rpc = Callable[[str, Sequence[Any]], Any]


class EndpointError(Exception):
    """The auditor's endpoint did not answer, or answered with an error (then ``code`` is the node's)."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class UnavailableError(Exception):
    """A check cannot be made because of what an earlier one found; the message says what is missing."""


@dataclass(frozen=True)
class Case:
    """One bundle against one trust file. ``files`` is empty and ``fault`` set when the folder itself was refused."""

    files: Mapping[str, bytes]
    trust: Trust
    now: datetime
    rpcs: tuple[Rpc, ...] = ()
    fault: VerificationError | None = None

    def file(self, name: str) -> bytes:
        """A file's bytes; raises :class:`UnavailableError` if the bundle has none of that name."""
        if name not in self.files:
            raise UnavailableError(f"{name} is not at hand")
        return self.files[name]

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest, every file being the one it lists; raises :class:`VerificationError` if one is not."""
        return check_manifest(self.files)

    @cached_property
    def envelope(self) -> dsse.Envelope:
        data = self.file(ENVELOPE)
        return _readable(ENVELOPE, lambda: dsse.parse_envelope(data, ENVELOPE))

    @cached_property
    def statement(self) -> Statement:
        body = self.envelope.body
        return _readable("the statement", lambda: statement.read(body))

    @property
    def predicate(self) -> Predicate:
        return self.statement.predicate

    @property
    def statement_digest(self) -> str:
        """Lowercase hex sha256 of the payload."""
        return digest(self.envelope.body)

    @cached_property
    def period(self) -> Period:
        return Period.parse(self.predicate.period)

    @cached_property
    def reserves(self) -> Reserves:
        data = self.file(RESERVES)
        return _readable(RESERVES, lambda: from_json(Reserves, data, RESERVES))

    @cached_property
    def receipts(self) -> Receipts:
        data = self.file(RECEIPTS)
        return _readable(RECEIPTS, lambda: from_json(Receipts, data, RECEIPTS))

    @cached_property
    def logged(self) -> LoggedEntry:
        """The entry in the log by the log's own key, whoever cosigned; raises :class:`VerificationError` if false."""
        return verify_log_proof(self.file(LOG_PROOF), self.file(ENVELOPE), self.trust.log.key, (), LOG_PROOF)

    @cached_property
    def cosignatures(self) -> tuple[Cosignature, ...]:
        """Those of the trusted witnesses; raises :class:`VerificationError` if one of them is false."""
        keys = self.trust.witnesses.keys
        return verify_log_proof(
            self.file(LOG_PROOF), self.file(ENVELOPE), self.trust.log.key, keys, LOG_PROOF
        ).cosignatures


def _readable(name: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except VerificationError as fault:
        raise UnavailableError(f"{name} cannot be read") from fault
