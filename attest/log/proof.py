"""``.tlog-proof`` files (C2SP tlog-proof): that an entry is in the log, checkable offline with nothing else at hand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from attest.errors import VerificationError
from attest.log.checkpoint import Checkpoint, Cosignature, open_checkpoint, parse_size, verify_witnesses
from attest.log.note import MAX_NOTE_BYTES, VerifierKey
from attest.merkle.proof import leaf_hash, verify_inclusion
from attest.records import decode_base64, encode_base64

_HEADER = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True)
class LogProof:
    """An entry's index, its audit path (32-byte hashes, leaf's sibling first) and the checkpoint's note, verbatim."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes

    def to_bytes(self) -> bytes:
        """The file's bytes."""
        lines = [_HEADER, f"index {self.index}", *map(encode_base64, self.path), "", ""]
        return "\n".join(lines).encode() + self.checkpoint


@dataclass(frozen=True)
class LoggedEntry:
    """What a verified proof shows: the entry's index, the log's head, and the witnesses that cosigned that head."""

    index: int
    checkpoint: Checkpoint
    cosignatures: tuple[Cosignature, ...]


def parse_log_proof(data: bytes, where: str = "the log proof") -> LogProof:
    """Read a proof file; raises :class:`VerificationError` naming ``where``. Its checkpoint is not parsed yet.

    An ``extra`` line is refused: nothing authenticates it, and this project's proofs have none.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise _malformed(where, f"is larger than {MAX_NOTE_BYTES} bytes")
    head, separator, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise _malformed(where, "has bytes other than ASCII before its checkpoint") from None
    if not separator or lines[0] != _HEADER:
        raise _malformed(where, f"does not begin with {_HEADER!r} or has no checkpoint after a blank line")
    word, _, number = (lines[1] if len(lines) > 1 else "").partition(" ")
    index = parse_size(number)
    if word != "index" or index is None:
        raise _malformed(where, "has no line 'index <number>' in second place")
    try:
        path = tuple(decode_base64(line) for line in lines[2:])
    except ValueError as fault:
        raise _malformed(where, f"has a hash that {fault}") from None
    return LogProof(index, path, checkpoint)


def verify_log_proof(
    data: bytes,
    entry: bytes,
    log_key: VerifierKey,
    witness_keys: Iterable[VerifierKey] = (),
    where: str = "the log proof",
) -> LoggedEntry:
    """Check that ``entry`` (exact bytes) is in the log whose own key is ``log_key``.

    Returns also which of ``witness_keys`` cosigned; how many are enough is the caller's policy. Raises
    :class:`VerificationError` naming ``where``.
    """
    proof = parse_log_proof(data, where)
    signed = open_checkpoint(proof.checkpoint, log_key, where)
    head = signed.checkpoint
    verify_inclusion(leaf_hash(entry), proof.index, head.size, proof.path, head.root)
    return LoggedEntry(proof.index, head, verify_witnesses(signed, witness_keys, where))


def _malformed(where: str, detail: str) -> VerificationError:
    return VerificationError(
        f"{where}: {detail}",
        code="malformed-log-proof",
        reason="The proof must be readable in exactly one way.",
        advice="Fetch the .tlog-proof file again, byte for byte.",
    )
