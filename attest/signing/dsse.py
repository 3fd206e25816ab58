"""The DSSE envelope (secure-systems-lab/dsse, protocol 1.0.2) with secp256k1 signatures.

What is signed is ``sha256(PAE(payloadType, payload))``, low-s, in DER: ``openssl dgst -sha256 -verify`` checks it over
the PAE bytes, and on chain it is ``ecrecover(sha256(PAE))``. ``keyid`` (sha256 of the key's SPKI DER) is only a hint;
which keys count is the verifier's to say.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from attest.errors import ConflictError, VerificationError
from attest.records import decode_base64, encode_base64, from_json, to_json
from attest.signing.signer import SECP256K1_ORDER

#: A log entry's length is a u16 (C2SP tlog-tiles), and the entry is the whole envelope.
MAX_ENVELOPE_BYTES = 65_535
#: What stands before an uncompressed point of secp256k1 in an SPKI in DER (RFC 5480): algorithm, curve, bit string.
_SPKI_HEAD = bytes.fromhex("3056301006072a8648ce3d020106052b8104000a034200")
_USUAL_PEM = re.compile(
    rb"-----BEGIN PUBLIC KEY-----\n((?:[A-Za-z0-9+/]{64}\n)[A-Za-z0-9+/]+={0,2}\n)-----END PUBLIC KEY-----\n?"
)


# -- what is signed --------------------------------------------------------------------------------------------------


def pae(payload_type: str, body: bytes) -> bytes:
    """DSSE's pre-authentication encoding: ``DSSEv1 SP len(type) SP type SP len(body) SP body``, lengths in bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def message_digest(payload_type: str, body: bytes) -> bytes:
    """``sha256(PAE)``: the 32 bytes that a :class:`attest.signing.signer.DigestSigner` signs."""
    return hashlib.sha256(pae(payload_type, body)).digest()


def encode_der(r: int, s: int) -> bytes:
    """The DER signature, ``s`` brought into the lower half of the group order. Raises ``ValueError`` out of range."""
    if not (0 < r < SECP256K1_ORDER and 0 < s < SECP256K1_ORDER):
        raise ValueError("r and s of a secp256k1 signature lie between 1 and the group order")
    return encode_dss_signature(r, min(s, SECP256K1_ORDER - s))


def verify_signature(public_key: bytes, payload_type: str, body: bytes, signature: bytes) -> None:
    """Check a DER signature by ``public_key`` (SPKI, DER or PEM) over the PAE of ``payload_type`` and ``body``.

    ``payload_type`` is what the caller expects, not what an envelope says. Raises :class:`VerificationError` for a key
    on another curve, a signature that is not in the one canonical encoding (DER, low-s, nothing after it), or one that
    does not verify.
    """
    key = _load_key(public_key)
    try:
        _, s = decode_dss_signature(signature)  # strict: no other spelling of the two integers, nothing after them
    except ValueError:
        raise _refuse(
            "signature-encoding", "the signature is not canonical DER (two integers and nothing else)"
        ) from None
    if s > SECP256K1_ORDER // 2:
        raise _refuse("signature-high-s", "the signature has a high s: anyone can make it from the low-s one")
    try:
        key.verify(signature, pae(payload_type, body), ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise _refuse(
            "signature-invalid", f"the signature is not key {keyid_of(spki_der(public_key))}'s over this {payload_type}"
        ) from None


# -- keys ------------------------------------------------------------------------------------------------------------


def spki_der(public_key: bytes) -> bytes:
    """The SPKI DER form of a secp256k1 public key given as uncompressed SEC1 point (65 bytes), SPKI DER or SPKI PEM.

    Raises :class:`VerificationError` for anything else.
    """
    return _SPKI_HEAD + _point(_load_key(public_key))


def spki_pem(uncompressed: bytes) -> str:
    """The SPKI PEM form of a secp256k1 public key (65-byte uncompressed SEC1 point, or SPKI)."""
    text = base64.b64encode(spki_der(uncompressed)).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


def keyid_of(spki_der: bytes) -> str:
    """The key's id: lowercase hex sha256 of its SPKI DER."""
    return hashlib.sha256(spki_der).hexdigest()


def address_of(public_key: bytes) -> str:
    """The account address (EIP-55) of a secp256k1 public key in any form that :func:`spki_der` takes: on chain, the key
    is ``ecrecover`` of its signature. Needs the extra ``run``."""
    from eth_utils.address import to_checksum_address
    from eth_utils.crypto import keccak

    return str(to_checksum_address(keccak(_point(_load_key(public_key))[1:])[12:]))


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    """The uncompressed SEC1 point: 4, x, y."""
    numbers = key.public_numbers()
    return b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def _load_key(public_key: bytes) -> ec.EllipticCurvePublicKey:
    malformed = _refuse("public-key-malformed", "the attestor's public key is neither SPKI (DER, PEM) nor SEC1")
    point = public_key if len(public_key) == 65 else _usual_point(public_key)
    try:
        if point is not None:
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), point)
        # For the rarer forms (a compressed point, another curve); its import takes longer than a verification.
        from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

        key = (load_pem_public_key if public_key.lstrip().startswith(b"-----") else load_der_public_key)(public_key)
    except (ValueError, UnsupportedAlgorithm):
        raise malformed from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256K1):
        raise _refuse("public-key-curve", "the attestor's public key is not on secp256k1")
    return key


def _usual_point(public_key: bytes) -> bytes | None:
    """The point in an SPKI as everybody writes it; None if this is not one."""
    match = _USUAL_PEM.fullmatch(public_key)
    der = base64.b64decode(match[1]) if match else public_key
    return der[len(_SPKI_HEAD) :] if len(der) == len(_SPKI_HEAD) + 65 and der.startswith(_SPKI_HEAD) else None


# -- the envelope ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EnvelopeSignature:
    """One signature: ``keyid`` is a hint, ``sig`` the DER signature in base64."""

    keyid: str
    sig: str

    def __post_init__(self) -> None:
        _check_base64("sig", self.sig)

    @property
    def signature(self) -> bytes:
        """The DER signature."""
        return decode_base64(self.sig)


@dataclass(frozen=True)
class Envelope:
    """A DSSE envelope in its JSON form; ``payload`` is the signed body in base64."""

    payload: str
    payloadType: str  # noqa: N815 - DSSE's own name
    signatures: tuple[EnvelopeSignature, ...]

    def __post_init__(self) -> None:
        _check_base64("payload", self.payload)
        if not self.signatures:
            raise ValueError("must have a signature")

    @cached_property
    def body(self) -> bytes:
        """The payload's exact bytes: what is signed, and whose sha256 is the statement's digest."""
        return decode_base64(self.payload)


def parse_envelope(data: bytes, where: str = "the envelope") -> Envelope:
    """Read an envelope strictly; raises :class:`VerificationError` naming ``where``. Verifies no signature."""
    if len(data) > MAX_ENVELOPE_BYTES:
        raise _refuse("envelope-too-large", f"{where}: {len(data)} bytes, at most {MAX_ENVELOPE_BYTES} fit a log entry")
    return from_json(Envelope, data, where)


def assemble_envelope(payload_type: str, body: bytes, signatures: Iterable[tuple[str, bytes]]) -> bytes:
    """The envelope's bytes from ``body`` and ``(keyid, DER signature)`` pairs, in the order of their keyids.

    Raises :class:`ConflictError` when one key's signature is given twice, none is given, or the envelope is larger than
    a log entry can be.
    """
    pairs = sorted(signatures)
    if not pairs or len({keyid for keyid, _ in pairs}) != len(pairs):
        raise ConflictError(
            "the envelope needs one signature of each signing key",
            code="envelope-signatures",
            reason="The threshold counts keys; a key that is listed twice, or no key at all, would mislead.",
            advice="Look under signatures/ of this attempt in the private store: one object for each key.",
        )
    envelope = to_json(
        Envelope(
            payload=encode_base64(body),
            payloadType=payload_type,
            signatures=tuple(EnvelopeSignature(keyid, encode_base64(der)) for keyid, der in pairs),
        )
    )
    if len(envelope) > MAX_ENVELOPE_BYTES:
        raise ConflictError(
            f"the signed statement's envelope has {len(envelope)} bytes, at most {MAX_ENVELOPE_BYTES} fit a log entry",
            code="envelope-too-large",
            reason="Every attestation is one entry of the transparency log, whose length field has 16 bits.",
            advice="Attest fewer tokens or deployments in one statement (one configuration for each group).",
        )
    return envelope


def _check_base64(field: str, text: str) -> None:
    try:
        decode_base64(text)
    except ValueError as fault:
        raise ValueError(f"{field} {fault}") from None


def _refuse(code: str, message: str) -> VerificationError:
    return VerificationError(
        message,
        code=code,
        reason="A statement counts only with a signature in its one valid form by a key that the trust file pins.",
        advice="Fetch the attestation again, and compare the attestor keys in your trust file with the issuer's.",
    )
