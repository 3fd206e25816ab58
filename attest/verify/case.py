"""What the checks look at: a bundle's files, the auditor's trust, time and endpoints; documents are parsed on demand.

A check that needs a document that another check already found unreadable is *skipped*, not failed twice:
:class:`UnavailableError` carries why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from attest import statement
from attest.documents import Manifest, Predicate, Receipts, Reserves, Statement
from attest.errors import VerificationError
from attest.log.checkpoint import Checkpoint, Cosignature, SignedCheckpoint
from attest.log.proof import LoggedEntry, verify_log_proof
from attest.log.reader import LogReader
from attest.period import Period
from attest.records import digest, from_json
from attest.signing import dsse
from attest.verify.bundle import ENVELOPE, LOG_PROOF, RECEIPTS, RESERVES, check_manifest
from attest.verify.trust import Trust

if TYPE_CHECKING:
    from attest.model import Decision, ReserveLeaves

T = TypeVar("T")

LEAVES = "leaves.json"
GET_LOG = "Name the log's folder or address with --log PLACE."

#: Calls one JSON-RPC method with its parameters and returns the result; raises :class:`EndpointError`.
Rpc = Callable[[str, Sequence[Any]], Any]


class EndpointError(Exception):
    """The auditor's endpoint did not answer, or answered with an error (then ``code`` is the node's)."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class UnavailableError(Exception):
    """A check cannot be made: the message says what is missing, ``advice`` how to get it."""

    def __init__(self, message: str, advice: str = "See the checks that failed.") -> None:
        super().__init__(message)
        self.advice = advice


class Package(Protocol):
    """An opened audit package: what the operator lets one auditor see."""

    @property
    def folder(self) -> Path:
        """Where it is."""

    @property
    def decision(self) -> bytes:
        """The bytes of its ``decision.json``."""

    def digest(self, name: str) -> str | None:
        """The sha256 of the evidence kept under ``name`` (itself a sha256), None if there is none."""


#: Reads the documents of an audit package again, under the configuration that the statement commits to; says what it
#: found, raises :class:`VerificationError` if they say something else than the decision's observations.
ReadAgain = Callable[[Path, "Decision", Predicate], str]


@dataclass(frozen=True)
class Case:
    """One bundle against one trust file. ``files`` is empty and ``fault`` set when the folder itself was refused.

    What an auditor may have besides: their own nodes (``rpcs``), all leaves (``leaves_file``), a checkpoint that they
    kept (``since``), the head of this log that was remembered (``remembered``), or certainty that none ever was
    (``first``), the log itself, and an audit package with what can read its documents again.
    """

    files: Mapping[str, bytes]
    trust: Trust
    now: datetime
    rpcs: tuple[Rpc, ...] = ()
    fault: VerificationError | None = None
    leaves_file: bytes | None = None
    since: bytes | None = None
    remembered: Checkpoint | None = None
    first: bool = False
    log: LogReader | None = None
    package: Package | None = None
    read_again: ReadAgain | None = None

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
    def leaves(self) -> ReserveLeaves | None:
        """All leaves, None if the auditor has not given them; raises :class:`VerificationError` if malformed."""
        if self.leaves_file is None:
            return None
        from attest.model import ReserveLeaves

        return from_json(ReserveLeaves, self.leaves_file, LEAVES)

    @property
    def reader(self) -> LogReader:
        if self.log is None:
            raise UnavailableError("the log is not at hand", GET_LOG)
        return self.log

    @cached_property
    def newest(self) -> SignedCheckpoint:
        """The head that the log at hand has now; raises :class:`VerificationError` if it has none of its own."""
        return self.reader.newest()

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
