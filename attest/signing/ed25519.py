"""Ed25519 keys of logs and witnesses, each in an encrypted PKCS#8 PEM file."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from attest.errors import OperatorError
from attest.signing.keyfile import write_new_key


class Ed25519Signer:
    """A :class:`attest.signing.signer.NoteSigner` that holds its key in memory."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @property
    def public_key(self) -> bytes:
        """The 32-byte public key."""
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature (RFC 8032, deterministic)."""
        return self._key.sign(message)


def generate_note_key(path: Path, password: bytes) -> Ed25519Signer:
    """Create a key, write it encrypted to ``path`` (mode 0600) and return its signer.

    Raises :class:`OperatorError` when the password is empty, the file exists or cannot be written.
    """
    return _write(path, Ed25519PrivateKey.generate(), password)


def write_note_key(path: Path, seed: bytes | bytearray, password: bytes) -> Ed25519Signer:
    """Write the private key ``seed`` (32 bytes, RFC 8032) encrypted to ``path``; as :func:`generate_note_key`, and
    raises :class:`OperatorError` for another length."""
    if len(seed) != 32:
        raise _refuse(path, "not written: what was given is no Ed25519 private key", "Give 32 bytes in hexadecimal.")
    return _write(path, Ed25519PrivateKey.from_private_bytes(seed), password)


def _write(path: Path, key: Ed25519PrivateKey, password: bytes) -> Ed25519Signer:
    if not password:
        raise _refuse(path, "an empty password protects nothing", "Set the password that this key's secret names.")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    write_new_key(path, pem, _refuse)
    return Ed25519Signer(key)


def load_note_signer(path: Path, password: bytes) -> Ed25519Signer:
    """The signer of the key in ``path``.

    Raises :class:`OperatorError` naming the file when it cannot be read, the password is wrong, or it is not an
    encrypted Ed25519 PKCS#8 PEM.
    """
    try:
        pem = path.read_bytes()
    except OSError as fault:
        raise _refuse(path, f"cannot be read ({fault.strerror})", "Check the path and its permissions.") from fault
    if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" not in pem:
        raise _refuse(
            path, "is not an encrypted PKCS#8 PEM", "Encrypt it: openssl pkcs8 -topk8 -in KEY -out ENCRYPTED."
        )
    try:
        key = load_pem_private_key(pem, password or b"\x00")
    except (ValueError, UnsupportedAlgorithm):
        raise _refuse(
            path, "cannot be decrypted: wrong password, or a damaged file", "Check the secret that the password is in."
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _refuse(
            path, "is not an Ed25519 key", "Create one with `attest init`, or openssl genpkey -algorithm ed25519."
        )
    return Ed25519Signer(key)


def _refuse(path: Path, detail: str, advice: str) -> OperatorError:
    return OperatorError(
        f"{path}: {detail}",
        code="note-key",
        reason="This key signs the log's checkpoints or a witness's cosignatures.",
        advice=advice,
    )
