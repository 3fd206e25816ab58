"""What a signer is, and how a configured URI becomes one.

One protocol per kind of key, one module per backend, imported only when its scheme is used. A signer sees only what it
signs. Which key it holds is public (``address``, ``public_key``) and pinned in the configuration: a key that is not the
pinned one is never used.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from attest.errors import OperatorError

if TYPE_CHECKING:
    from attest.secrets import Secret

#: The order of secp256k1's group (SEC 2, section 2.4.1).
SECP256K1_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141


class Signature(NamedTuple):
    """A secp256k1 ECDSA signature with its recovery id (0 or 1); ``s`` is in the lower half of the group order."""

    r: int
    s: int
    recovery_id: int

    def low_s(self) -> Signature:
        """The same signature in its one accepted form (EIP-2): ``s`` in the lower half, recovery id to match."""
        if self.s <= SECP256K1_ORDER // 2:
            return self
        return Signature(self.r, SECP256K1_ORDER - self.s, self.recovery_id ^ 1)


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


class _Backend(NamedTuple):
    module: str
    extra: str


#: scheme -> the module whose ``open_digest_signer(location, *, password, base)`` opens it, and the extra it needs.
_DIGEST_BACKENDS: Mapping[str, _Backend] = {
    "keystore": _Backend("attest.signing.keystore", "run"),
    "awskms": _Backend("attest.signing.awskms", "awskms"),
    "azurekv": _Backend("attest.signing.azurekv", "azurekv"),
    "gcpkms": _Backend("attest.signing.gcpkms", "gcpkms"),
    "pkcs11": _Backend("attest.signing.pkcs11", "pkcs11"),
}
#: scheme -> the module whose ``open_note_signer(location, *, password, base)`` opens it, and the extra it needs.
_NOTE_BACKENDS: Mapping[str, _Backend] = {
    "keystore": _Backend("attest.signing.keystore", "run"),
    "awskms": _Backend("attest.signing.awskms", "awskms"),
    "pkcs11": _Backend("attest.signing.pkcs11", "pkcs11"),
}
#: scheme -> the module whose ``open_transaction_signer(location, *, address, password, base)`` opens it, and its extra.
TRANSACTION_BACKENDS: Mapping[str, _Backend] = {"web3signer": _Backend("attest.signing.web3signer", "run")}


def open_digest_signer(uri: str, *, address: str, password: Secret | None, base: Path) -> DigestSigner:
    """The secp256k1 key at ``uri`` (``scheme:location``; paths are relative to ``base``).

    Raises :class:`OperatorError` for an unknown scheme, a backend whose extra is not installed, a key that cannot be
    opened, and a key whose address is not the pinned ``address``.
    """
    scheme = uri.partition(":")[0]
    if scheme in TRANSACTION_BACKENDS:
        raise OperatorError(
            f"signer {scheme}: it signs whole transactions only, and a digest has to be signed here",
            code="signer-kind",
            reason="A statement is no transaction.",
            advice="Keep an attestor's key in " + " or ".join(f"{known}:" for known in sorted(_DIGEST_BACKENDS)) + ".",
        )
    signer: DigestSigner = open_backend("open_digest_signer", _DIGEST_BACKENDS, uri, password=password, base=base)
    if signer.address.lower() != address.lower():
        raise _not_pinned(uri, f"the key's address is {signer.address}, the configuration pins {address}")
    return signer


def open_note_signer(uri: str, *, public_key: bytes, password: Secret | None, base: Path) -> NoteSigner:
    """The Ed25519 key at ``uri``; ``public_key`` is the 32 bytes of the pinned vkey.

    Raises :class:`OperatorError` as :func:`open_digest_signer` does.
    """
    signer: NoteSigner = open_backend("open_note_signer", _NOTE_BACKENDS, uri, password=password, base=base)
    if signer.public_key != public_key:
        raise _not_pinned(
            uri, f"the key's public key is {signer.public_key.hex()}, the configuration's vkey pins {public_key.hex()}"
        )
    return signer


def enrol_digest_signer(uri: str, *, password: Secret | None, base: Path) -> DigestSigner:
    """The secp256k1 key at ``uri``, whichever it is: for the command that shows an address so that it can be pinned.
    Everything else opens keys by :func:`open_digest_signer`. Raises :class:`OperatorError` as that does."""
    if uri.partition(":")[0] in TRANSACTION_BACKENDS:
        raise OperatorError(
            f"signer {uri!r}: such a signer may hold many keys, and does not say which is meant",
            code="signer-kind",
            reason="A key is known by its address alone there.",
            advice="Pin the address in attest.toml, then: attest keys test JOB.",
        )
    signer: DigestSigner = open_backend("open_digest_signer", _DIGEST_BACKENDS, uri, password=password, base=base)
    return signer


def enrol_note_signer(uri: str, *, password: Secret | None, base: Path) -> NoteSigner:
    """The Ed25519 key at ``uri``, whichever it is; as :func:`enrol_digest_signer`."""
    signer: NoteSigner = open_backend("open_note_signer", _NOTE_BACKENDS, uri, password=password, base=base)
    return signer


def open_backend(function: str, backends: Mapping[str, _Backend], uri: str, **arguments: Any) -> Any:
    """What ``function`` of the backend that ``uri`` names makes of its location and the ``arguments``. Raises
    :class:`OperatorError` for an unknown scheme and a library that is not installed."""
    scheme, _, location = uri.partition(":")
    backend = backends.get(scheme)
    if backend is None or not location:
        raise OperatorError(
            f"signer {uri!r}: {'no location' if backend else f'unknown scheme {scheme!r}'}",
            code="unknown-signer",
            reason="The scheme says where the key is kept and how it signs.",
            advice="Use " + " or ".join(f"{known}:..." for known in sorted(backends)) + ".",
        )
    try:
        module = import_module(backend.module)
        return getattr(module, function)(location, **arguments)
    except ModuleNotFoundError as fault:
        if (fault.name or "").startswith("attest"):
            raise
        raise OperatorError(
            f"signer {uri!r}: the library {fault.name} is not installed",
            code="missing-extra",
            reason=f"{scheme}: keys are used through it.",
            advice=f"pip install 'reserve-attest[{backend.extra}]'",
        ) from None


def _not_pinned(uri: str, detail: str) -> OperatorError:
    return OperatorError(
        f"signer {uri!r}: {detail}",
        code="signer-mismatch",
        reason="Roles and trust files name the pinned key; another key's signature would be refused or mislead.",
        advice="Point the uri at the pinned key, or pin the other one where the configuration names it.",
    )
