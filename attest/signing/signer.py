"""What a signer is: two protocols, one per kind of key, implemented by one module per backend.

A signer sees only what it signs. Which key it holds is public (``address``, ``public_key``); where it holds it is its
own business.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Signature(NamedTuple):
    """A secp256k1 ECDSA signature with its recovery id (0 or 1); ``s`` is in the lower half of the group order."""

    r: int
    s: int
    recovery_id: int


class DigestSigner(Protocol):
    """A secp256k1 key that signs 32-byte digests (transactions and statements)."""

    @property
    def address(self) -> str:
        """The EIP-55 checksummed account address of the key."""
        ...

    @property
    def public_key(self) -> bytes:
        """The uncompressed SEC1 point: 65 bytes, the first is 0x04."""
        ...

    def sign_digest(self, digest: bytes) -> Signature:
        """Sign 32 bytes as they are (no further hashing)."""
        ...


class NoteSigner(Protocol):
    """An Ed25519 key that signs log checkpoints or witness cosignatures."""

    @property
    def public_key(self) -> bytes:
        """The 32-byte Ed25519 public key."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of ``message``."""
        ...
