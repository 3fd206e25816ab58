"""Checkpoints (C2SP tlog-checkpoint): a log's origin, size and root in a note that the log's own key signed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from attest.errors import VerificationError
from attest.log.note import Note, VerifierKey, find_signature, parse_note, verify_cosignature, verify_note
from attest.records import decode_base64, encode_base64

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)


@dataclass(frozen=True)
class Checkpoint:
    """A tree head: the log's origin, its number of entries and the 32-byte root over them."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The note's text: three lines, each ended by a newline."""
        return f"{self.origin}\n{self.size}\n{encode_base64(self.root)}\n"


@dataclass(frozen=True)
class SignedCheckpoint:
    """A checkpoint with the note that carries it, in which the log's own signature was verified."""

    checkpoint: Checkpoint
    note: Note


@dataclass(frozen=True)
class Cosignature:
    """A verified witness cosignature: who, and when (Unix seconds)."""

    witness: str
    time: int


def parse_checkpoint(text: str, where: str = "the checkpoint") -> Checkpoint:
    """Read a checkpoint's text. Raises :class:`VerificationError` for anything but origin, size and root: extension
    lines, which nobody can audit, are refused too."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise _malformed(where, "is not exactly three lines: origin, size, root")
    size = parse_size(lines[1])
    if size is None:
        raise _malformed(where, f"has a size that is no plain decimal number: {lines[1][:40]!r}")
    try:
        root = decode_base64(lines[2])
    except ValueError as fault:
        raise _malformed(where, f"has a root that {fault}") from None
    if len(root) != 32:
        raise _malformed(where, f"has a root of {len(root)} bytes, not 32")
    return Checkpoint(lines[0], size, root)


def parse_size(text: str) -> int | None:
    """A tree size or index as these formats spell it: ASCII decimal, no sign, no leading zero, below 2^63."""
    return int(text) if _SIZE.fullmatch(text) and int(text) < 2**63 else None


def open_checkpoint(data: bytes, log_key: VerifierKey, where: str = "the checkpoint") -> SignedCheckpoint:
    """Read a checkpoint and check that it is ``log_key``'s: signed by that very key, for the origin of its name.

    Raises :class:`VerificationError` naming ``where``.
    """
    note = parse_note(data, where)
    checkpoint = parse_checkpoint(note.text, where)
    if checkpoint.origin != log_key.name:
        raise VerificationError(
            f"{where}: is of the log {checkpoint.origin!r}, not of {log_key.name!r}",
            code="checkpoint-origin",
            reason="A proof from another log says nothing about this one.",
            advice="Fetch the checkpoint of the log that your trust file names.",
        )
    verify_note(note, log_key, where)
    return SignedCheckpoint(checkpoint, note)


def verify_witnesses(
    signed: SignedCheckpoint, witness_keys: Iterable[VerifierKey], where: str = "the checkpoint"
) -> tuple[Cosignature, ...]:
    """The cosignatures of those ``witness_keys`` that signed, one for each public key, in the order given.

    A witness that did not sign is left out; one whose line is there and false raises :class:`VerificationError`. How
    many are enough is the caller's policy.
    """
    found = []
    counted: set[bytes] = set()
    for key in witness_keys:
        signature = find_signature(signed.note, key)
        if signature is not None and key.public_key not in counted:
            found.append(Cosignature(key.name, verify_cosignature(signed.note.text, signature, key, where)))
            counted.add(key.public_key)
    return tuple(found)


def _malformed(where: str, detail: str) -> VerificationError:
    return VerificationError(
        f"{where}: {detail}",
        code="malformed-checkpoint",
        reason="Size and root of the log must be readable in exactly one way.",
        advice="Fetch the checkpoint again, byte for byte.",
    )
