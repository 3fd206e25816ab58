"""Keys that another process holds: a cloud's key service, an HSM, a remote signer.

What comes back from there is not trusted. A signature is used only when it recovers to the public key that was pinned,
so a service that signs something else, or with another key, is found out before anything is sent. All backends refuse
with the same four codes:

- ``signer-unavailable``: no answer, or too busy, after a bounded number of requests;
- ``signer-denied``: these credentials may not use the key;
- ``signer-key``: there is no such key, or it cannot do this (curve, usage, state);
- ``signer-unfaithful``: the answer is not what the key would have said.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from attest.errors import OperatorError, printable
from attest.signing.signer import SECP256K1_ORDER, Signature

_Answer = TypeVar("_Answer")

#: How much of a service's own words an error repeats.
_LONGEST_QUOTE = 400


class BusyError(Exception):
    """The service did not answer this time, or asked to be asked later; the text says which."""


@dataclass(frozen=True)
class Patience:
    """How long a key service is waited for: ``timeout`` seconds for one request, at most ``attempts`` requests,
    ``pause`` seconds before the second, each further pause twice the last. The libraries' own retries are switched
    off, so this is all."""

    timeout: float = 10.0
    attempts: int = 5
    pause: float = 1.0
    sleep: Callable[[float], None] = time.sleep

    def ask(self, name: str, request: Callable[[], _Answer]) -> _Answer:
        """The first answer of ``request``, which raises :class:`BusyError` to be asked again. Raises
        :class:`OperatorError` (``signer-unavailable``) when it never answers; any other error passes through."""
        for attempt in range(self.attempts):
            if attempt:
                self.sleep(self.pause * 2 ** (attempt - 1))
            try:
                return request()
            except BusyError as fault:
                detail = str(fault)
        raise unavailable(name, f"{detail} (asked {self.attempts} times)")


#: What operators get: five requests of ten seconds with 15 seconds of pauses between them, 65 seconds at the worst.
PATIENCE = Patience()


class ExternalDigestSigner(ABC):
    """A :class:`attest.signing.signer.DigestSigner` whose private key is elsewhere.

    ``name`` is how errors call the key (its URI), ``public_key`` its uncompressed SEC1 point of 65 bytes.
    """

    def __init__(self, name: str, public_key: bytes) -> None:
        self.name = name
        self._public_key = public_key
        self._address = address_of(public_key)

    @property
    def address(self) -> str:
        """The EIP-55 checksummed address."""
        return self._address

    @property
    def public_key(self) -> bytes:
        """The uncompressed SEC1 point, 65 bytes."""
        return self._public_key

    def sign_digest(self, digest: bytes) -> Signature:
        """Sign 32 bytes as they are; low s. Raises :class:`OperatorError` with one of the module's codes."""
        if len(digest) != 32:
            raise ValueError("a digest has 32 bytes")
        r, s = self._request_signature(digest)
        return recoverable(self.name, self._public_key, digest, r, s)

    @abstractmethod
    def _request_signature(self, digest: bytes) -> tuple[int, int]:
        """``r`` and ``s`` as the holder of the key gives them, unchecked."""


class ExternalNoteSigner(ABC):
    """A :class:`attest.signing.signer.NoteSigner` whose private key is elsewhere. ``public_key`` has 32 bytes."""

    def __init__(self, name: str, public_key: bytes) -> None:
        self.name = name
        self._public_key = public_key

    @property
    def public_key(self) -> bytes:
        """The 32-byte Ed25519 public key."""
        return self._public_key

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature (RFC 8032). Raises :class:`OperatorError` with one of the module's codes."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        signature = self._request_signature(message)
        try:
            Ed25519PublicKey.from_public_bytes(self._public_key).verify(signature, message)
        except InvalidSignature:
            raise unfaithful(self.name, "the signature is not the key's over this message") from None
        return signature

    @abstractmethod
    def _request_signature(self, message: bytes) -> bytes:
        """The signature as the holder of the key gives it, unchecked."""


# -- public keys -----------------------------------------------------------------------------------------------------


def secp256k1_point(name: str, spki: bytes) -> bytes:
    """The uncompressed SEC1 point (65 bytes) of a SubjectPublicKeyInfo in DER or PEM (RFC 5480).

    Raises :class:`OperatorError` (``signer-key``) for another kind of key.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256K1, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = _load_spki(name, spki)
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256K1):
        raise wrong_curve(name, "secp256k1")
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def ed25519_point(name: str, spki: bytes) -> bytes:
    """The 32-byte Ed25519 public key of a SubjectPublicKeyInfo in DER or PEM (RFC 8410).

    Raises :class:`OperatorError` (``signer-key``) for another kind of key.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = _load_spki(name, spki)
    if not isinstance(key, Ed25519PublicKey):
        raise wrong_curve(name, "Ed25519")
    return key.public_bytes_raw()


def address_of(public_key: bytes) -> str:
    """The EIP-55 checksummed account address of an uncompressed SEC1 point (65 bytes)."""
    from eth_keys.datatypes import PublicKey

    return str(PublicKey(public_key[1:]).to_checksum_address())


def _load_spki(name: str, spki: bytes) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

    try:
        return load_pem_public_key(spki) if spki.startswith(b"-----") else load_der_public_key(spki)
    except (ValueError, UnsupportedAlgorithm):
        raise unfaithful(name, "its public key cannot be read") from None


# -- signatures ------------------------------------------------------------------------------------------------------


def from_der(name: str, signature: bytes) -> tuple[int, int]:
    """``r`` and ``s`` of a DER ECDSA-Sig-Value (RFC 3279, section 2.2.3). Raises :class:`OperatorError`
    (``signer-unfaithful``) for other bytes."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    try:
        return decode_dss_signature(signature)
    except ValueError:
        raise unfaithful(name, "the answer is not a DER signature") from None


def from_raw(name: str, signature: bytes) -> tuple[int, int]:
    """``r`` and ``s`` of 64 bytes, each half big-endian (RFC 7518, section 3.4; PKCS#11 ECDSA). Raises
    :class:`OperatorError` (``signer-unfaithful``) for another length."""
    if len(signature) != 64:
        raise unfaithful(name, f"the answer is not a signature of 64 bytes, but {len(signature)} bytes")
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


def recoverable(name: str, public_key: bytes, digest: bytes, r: int, s: int) -> Signature:
    """The signature in its one accepted form (low s), with the recovery id that leads back to ``public_key``.

    Raises :class:`OperatorError` (``signer-unfaithful``) when none does: another key or another digest was signed.
    """
    from eth_keys.datatypes import PublicKey
    from eth_keys.datatypes import Signature as RecoverableSignature
    from eth_keys.exceptions import BadSignature

    if not (0 < r < SECP256K1_ORDER and 0 < s < SECP256K1_ORDER):
        raise unfaithful(name, "the signature's numbers are outside the curve's group")
    expected = PublicKey(public_key[1:])
    for recovery_id in (0, 1):
        low = Signature(r, s, recovery_id).low_s()
        candidate = RecoverableSignature(vrs=(low.recovery_id, low.r, low.s))
        try:
            if candidate.recover_public_key_from_msg_hash(digest) == expected:
                return low
        except BadSignature:  # no point of the curve has this r
            continue
    raise unfaithful(name, "the signature does not recover to the key's own public key")


# -- refusals --------------------------------------------------------------------------------------------------------


def unavailable(name: str, detail: str) -> OperatorError:
    """``signer-unavailable``: nothing was signed because the service did not answer in time."""
    return OperatorError(
        f"signer {name!r}: {_quoted(detail)}",
        code="signer-unavailable",
        reason="Nothing was signed; what was already signed is kept and will be sent.",
        advice="Check the network and the service's status and quotas, then run the same command again.",
    )


def denied(name: str, detail: str, right: str) -> OperatorError:
    """``signer-denied``: ``right`` names what the credentials lack, in the service's own words."""
    return OperatorError(
        f"signer {name!r}: access denied: {_quoted(detail)}",
        code="signer-denied",
        reason="The credentials of this process may not use the key.",
        advice=f"Log in as the identity that this key belongs to, or grant it {right}.",
    )


def unusable(name: str, detail: str, advice: str) -> OperatorError:
    """``signer-key``: no such key, or one that cannot do what is asked."""
    return OperatorError(
        f"signer {name!r}: {_quoted(detail)}",
        code="signer-key",
        reason="Only an enabled signing key of the right kind can sign here.",
        advice=advice,
    )


def wrong_curve(name: str, wanted: str) -> OperatorError:
    """``signer-key`` for a key that is not on the curve ``wanted``."""
    return unusable(name, f"the key is not a {wanted} key", f"Name a {wanted} signing key; a key's kind never changes.")


def unfaithful(name: str, detail: str) -> OperatorError:
    """``signer-unfaithful``: the answer cannot come from an honest service holding the pinned key."""
    return OperatorError(
        f"signer {name!r}: {_quoted(detail)}",
        code="signer-unfaithful",
        reason="Another key or another message was signed, or the answer was changed on its way. It was not used.",
        advice="Before any retry, check what the uri leads to (an alias may have moved) and who can change it.",
    )


def _quoted(detail: str) -> str:
    """A service's own words on one line, bounded."""
    text = printable(" ".join(detail.split()))
    return text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"
