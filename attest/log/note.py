"""Signed notes (C2SP signed-note) and witness cosignatures v1 (C2SP tlog-cosignature), read strictly.

A note is ``text``, a blank line, and signature lines ``— <name> <base64(keyID || signature)>``. Signatures by keys that
a reader does not know are ignored; what a reader asks for is always one *named* key's signature, never "any known key".
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from attest.errors import AttestError, VerificationError
from attest.records import decode_base64, encode_base64

if TYPE_CHECKING:
    from attest.signing.signer import NoteSigner

#: A note signed with Ed25519 (signature type 0x01): a log's checkpoint.
ED25519 = 0x01
#: A timestamped Ed25519 cosignature (signature type 0x04): a witness's.
COSIGNATURE_V1 = 0x04

#: More than any note with a hundred signatures has; both bounds are those of Go's ``sumdb/note``.
MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100

_CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")


# -- keys ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class VerifierKey:
    """A named public key: ``algorithm`` is :data:`ED25519` or :data:`COSIGNATURE_V1`, ``public_key`` 32 bytes."""

    name: str
    algorithm: int
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """``SHA256(name || 0x0A || algorithm || public key)[:4]``."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public_key).digest()[:4]

    @property
    def vkey(self) -> str:
        """``name+hex8(keyID)+base64(algorithm || public key)``."""
        encoded = encode_base64(bytes([self.algorithm]) + self.public_key)
        return f"{self.name}+{self.key_id.hex()}+{encoded}"


def verifier_key(name: str, algorithm: int, signer: NoteSigner) -> VerifierKey:
    """The verifier key of ``signer`` under ``name``. Raises ``ValueError`` for a name that no note can carry."""
    if not _is_name(name):
        raise ValueError(f"a key's name is not empty and has no space, plus or control character: {name!r}")
    return VerifierKey(name, algorithm, signer.public_key)


def parse_vkey(text: str, where: str = "vkey", error: type[AttestError] = VerificationError) -> VerifierKey:
    """Read a vkey; raises ``error`` naming ``where`` if it is malformed, of another type, or its key id is wrong."""

    def refuse(detail: str) -> AttestError:
        return error(
            f"{where}: {text[:200]!r} {detail}",
            code="malformed-vkey",
            reason="A log or witness is known only by this key; a damaged one would accept nothing, or a stranger.",
            advice="Copy the vkey again, whole, from where its owner publishes it.",
        )

    parts = text.split("+", 2)
    if len(parts) != 3 or not _is_name(parts[0]):
        raise refuse("is not of the form name+keyid+key")
    name, key_id, encoded = parts
    try:
        material = decode_base64(encoded)
    except ValueError as fault:
        raise refuse(str(fault)) from None
    if len(material) != 33 or material[0] not in {ED25519, COSIGNATURE_V1}:
        raise refuse("is neither an Ed25519 key (type 1) nor a cosignature/v1 key (type 4)")
    key = VerifierKey(name, material[0], material[1:])
    if key_id != key.key_id.hex():
        raise refuse(f"has key id {key.key_id.hex()}: name, id and key do not belong together")
    return key


# -- notes -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NoteSignature:
    """One signature line: the key's name and 4-byte id, and what that key's algorithm signs with."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        """The line as it stands in a note, without its newline."""
        return f"— {self.name} {encode_base64(self.key_id + self.signature)}"


@dataclass(frozen=True)
class Note:
    """A note's text (with its last newline) and its signature lines, verified by nobody yet."""

    text: str
    signatures: tuple[NoteSignature, ...]

    def to_bytes(self) -> bytes:
        """The note as stored and served."""
        return (self.text + "\n" + "".join(f"{signature.line}\n" for signature in self.signatures)).encode()


def parse_note(data: bytes, where: str = "the note") -> Note:
    """Read a note that is well-formed to the byte; raises :class:`VerificationError` naming ``where``.

    Refused: anything but UTF-8 and LF, a missing final newline, a malformed signature line, two lines of one key.
    """
    if len(data) > MAX_NOTE_BYTES:
        raise _malformed(where, f"is larger than {MAX_NOTE_BYTES} bytes")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise _malformed(where, "is not UTF-8") from None
    if _CONTROL.search(whole):
        raise _malformed(where, "has a control character other than the newline (LF)")
    text, separator, block = whole.rpartition("\n\n")
    if not separator:
        raise _malformed(where, "has no blank line before its signatures")
    return Note(text + "\n", parse_signature_lines(block, where))


def parse_signature_lines(block: str, where: str) -> tuple[NoteSignature, ...]:
    """Read one or more signature lines, each ended by a newline; raises :class:`VerificationError`."""
    if not block.endswith("\n"):
        raise _malformed(where, "does not end in a signature line with a newline")
    lines = block[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise _malformed(where, f"has more than {MAX_SIGNATURES} signatures")
    signatures = tuple(_signature_line(line, where) for line in lines)
    if len({(signature.name, signature.key_id) for signature in signatures}) != len(signatures):
        raise _malformed(where, "has two signature lines of one key")
    return signatures


def _signature_line(line: str, where: str) -> NoteSignature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—" or not _is_name(parts[1]):
        raise _malformed(where, "has a signature line that is not '— name base64'")
    try:
        raw = decode_base64(parts[2])
    except ValueError as fault:
        raise _malformed(where, f"has a signature that {fault}") from None
    if len(raw) < 5:
        raise _malformed(where, "has a signature that is too short")
    return NoteSignature(parts[1], raw[:4], raw[4:])


def find_signature(note: Note, key: VerifierKey) -> NoteSignature | None:
    """The signature line under ``key``'s name and id, not yet verified; None if there is none."""
    for signature in note.signatures:
        if (signature.name, signature.key_id) == (key.name, key.key_id):
            return signature
    return None


# -- a log's signature -----------------------------------------------------------------------------------------------


def sign_note(text: str, name: str, signer: NoteSigner) -> Note:
    """The note over ``text`` (which ends in a newline), signed by ``name``'s Ed25519 key."""
    key = verifier_key(name, ED25519, signer)
    return Note(text, (NoteSignature(name, key.key_id, signer.sign(text.encode())),))


def verify_note(note: Note, key: VerifierKey, where: str = "the note") -> None:
    """Check that ``key`` itself signed ``note``; raises :class:`VerificationError` if its line is missing or false."""
    signature = find_signature(note, key)
    if signature is None:
        raise _false(where, f"is not signed by {key.name} with the expected key (id {key.key_id.hex()})")
    if key.algorithm != ED25519 or not _verifies(key.public_key, signature.signature, note.text.encode()):
        raise _false(where, f"carries a false signature in the name of {key.name}")


# -- a witness's cosignature -----------------------------------------------------------------------------------------


def cosign(text: str, name: str, signer: NoteSigner, time: int) -> NoteSignature:
    """The cosignature/v1 of ``name`` over a checkpoint's ``text`` at ``time`` (Unix seconds, more than 0)."""
    key = verifier_key(name, COSIGNATURE_V1, signer)
    signature = signer.sign(_cosigned_message(text, time))
    return NoteSignature(name, key.key_id, time.to_bytes(8, "big") + signature)


def verify_cosignature(text: str, signature: NoteSignature, key: VerifierKey, where: str = "the note") -> int:
    """Check that ``signature`` is ``key``'s cosignature/v1 over ``text``; returns its time (Unix seconds).

    Raises :class:`VerificationError` for another key, another algorithm, a false signature or an impossible time.
    """
    time = int.from_bytes(signature.signature[:8], "big")
    if (
        key.algorithm != COSIGNATURE_V1
        or (signature.name, signature.key_id) != (key.name, key.key_id)
        or not 0 < time < 2**63
        or not _verifies(key.public_key, signature.signature[8:], _cosigned_message(text, time))
    ):
        raise _false(where, f"carries a false cosignature in the name of witness {key.name}")
    return time


def _cosigned_message(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


# -- shared ----------------------------------------------------------------------------------------------------------


def _verifies(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not _CONTROL.search(name) and not any(map(str.isspace, name))


def _malformed(where: str, detail: str) -> VerificationError:
    return VerificationError(
        f"{where}: {detail}",
        code="malformed-note",
        reason="A note that two readers could split differently could be signed as one text and read as another.",
        advice="Fetch the file again, byte for byte (no editor, no text-mode transfer).",
    )


def _false(where: str, detail: str) -> VerificationError:
    return VerificationError(
        f"{where}: {detail}",
        code="note-signature",
        reason="Only the log's own key, and witnesses that you chose, can vouch for a checkpoint.",
        advice="Compare the vkeys in your trust file with their owners'; if they agree, keep this file as evidence.",
    )
