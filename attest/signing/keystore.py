"""``keystore:PATH``: keys in encrypted files.

secp256k1 keys are in Web3 Secret Storage files (version 3 JSON), as eth-account and geth write them; Ed25519 keys in
encrypted PKCS#8 PEM (:mod:`attest.signing.ed25519`).
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from attest.errors import OperatorError
from attest.secrets import Secret
from attest.signing.ed25519 import Ed25519Signer, load_note_signer
from attest.signing.keyfile import write_new_key
from attest.signing.signer import SECP256K1_ORDER, Signature

#: The scrypt cost of new keystores (RFC 7914's N): about two seconds a key, as geth's default.
SCRYPT_N = 262_144


class KeystoreSigner:
    """A :class:`attest.signing.signer.DigestSigner` that holds its key in memory."""

    def __init__(self, private_key: bytes) -> None:
        from eth_keys.datatypes import PrivateKey

        self._key = PrivateKey(private_key)

    @property
    def address(self) -> str:
        """The EIP-55 checksummed address."""
        return str(self._key.public_key.to_checksum_address())

    @property
    def public_key(self) -> bytes:
        """The uncompressed SEC1 point, 65 bytes."""
        return b"\x04" + self._key.public_key.to_bytes()

    def sign_digest(self, digest: bytes) -> Signature:
        """Sign 32 bytes (RFC 6979, deterministic, low s)."""
        signature = self._key.sign_msg_hash(digest)
        return Signature(signature.r, signature.s, signature.v).low_s()


def open_digest_signer(location: str, *, password: Secret | None, base: Path) -> KeystoreSigner:
    """The secp256k1 signer of ``keystore:PATH``. Raises :class:`OperatorError` as :func:`load_keystore` does, and when
    no password is configured."""
    path = base / location
    return load_keystore(path, _required(path, password))


def open_note_signer(location: str, *, password: Secret | None, base: Path) -> Ed25519Signer:
    """The Ed25519 signer of ``keystore:PATH``. Raises :class:`OperatorError` as
    :func:`attest.signing.ed25519.load_note_signer` does, and when no password is configured."""
    path = base / location
    return load_note_signer(path, _required(path, password).encode())


def load_keystore(path: Path, password: str) -> KeystoreSigner:
    """Decrypt the version 3 keystore at ``path``.

    Raises :class:`OperatorError` naming the file, never the password, when it cannot be read, is not such a keystore,
    or the password is wrong.
    """
    from eth_account import Account

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as fault:
        raise _refuse(path, f"cannot be read ({fault.strerror})", "Check the path and its permissions.") from None
    except UnicodeDecodeError:
        raise _malformed(path) from None
    try:
        return KeystoreSigner(bytes(Account.decrypt(text, password)))
    except ValueError as fault:
        if "MAC mismatch" not in str(fault):
            raise _malformed(path) from None
        raise _refuse(
            path, "cannot be decrypted: wrong password, or a damaged file", "Check the secret that the password is in."
        ) from None
    except Exception:
        # The library expects a well-formed keystore; on any other file it can fail anywhere.
        raise _malformed(path) from None


def generate_keystore(path: Path, password: str, *, n: int = SCRYPT_N) -> KeystoreSigner:
    """Create a key, write it encrypted to ``path`` (mode 0600; scrypt with cost ``n``, a power of two) and return its
    signer.

    Raises :class:`OperatorError` when the password is empty, the file exists or cannot be written.
    """
    return write_keystore(path, (1 + secrets.randbelow(SECP256K1_ORDER - 1)).to_bytes(32, "big"), password, n=n)


def write_keystore(path: Path, key: bytes | bytearray, password: str, *, n: int = SCRYPT_N) -> KeystoreSigner:
    """Write the private key ``key`` (32 bytes) encrypted to ``path``; as :func:`generate_keystore`, and raises
    :class:`OperatorError` for bytes that are no private key."""
    from eth_account import Account

    if not password:
        raise _refuse(path, "an empty password protects nothing", "Set the password that this key's secret names.")
    if len(key) != 32 or not 0 < int.from_bytes(key, "big") < SECP256K1_ORDER:
        raise _refuse(
            path,
            "not written: what was given is no secp256k1 private key",
            "Give 32 bytes in hexadecimal, less than the order of the curve's group.",
        )
    text = json.dumps(Account.encrypt(bytes(key), password, kdf="scrypt", iterations=n), indent=2) + "\n"
    write_new_key(path, text.encode("ascii"), _refuse)
    return KeystoreSigner(bytes(key))


def _required(path: Path, password: Secret | None) -> str:
    if password is None:
        raise _refuse(path, "no password is configured", "Set `password` to where it is: env:NAME or file:PATH.")
    return password.reveal()


def _malformed(path: Path) -> OperatorError:
    return _refuse(
        path,
        "is not an encrypted keystore (version 3 JSON)",
        "Name the file that `attest init`, eth-account or geth wrote.",
    )


def _refuse(path: Path, detail: str, advice: str) -> OperatorError:
    return OperatorError(
        f"{path}: {detail}",
        code="keystore",
        reason="This key signs in the operator's name.",
        advice=advice,
    )
