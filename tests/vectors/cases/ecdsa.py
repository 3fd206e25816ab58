"""Signatures as an attacker would write them: every spelling of the same two integers, and other integers."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from eth_keys import keys as eth_keys

from attest.documents import PAYLOAD_TYPE
from attest.signing.dsse import encode_der, message_digest
from attest.signing.signer import SECP256K1_ORDER
from tests.support.bundles import attestor


def high_s(signature: bytes) -> bytes:
    """The twin with the other ``s``, which verifies just as well."""
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, SECP256K1_ORDER - s)


def integer(value: int, padding: int = 0) -> bytes:
    """A DER integer, with leading zero bytes that do not belong there."""
    body = bytes(padding) + value.to_bytes(value.bit_length() // 8 + 1, "big")
    return bytes([2, len(body)]) + body


def padded_r(signature: bytes) -> bytes:
    """A needless zero byte before ``r``: BER, not DER."""
    r, s = decode_dss_signature(signature)
    body = integer(r, padding=1) + integer(s)
    return bytes([0x30, len(body)]) + body


def long_length(signature: bytes) -> bytes:
    """The sequence's length in two bytes: BER, not DER."""
    return b"\x30\x81" + signature[1:]


def open_length(signature: bytes) -> bytes:
    """The sequence's length left open, with an end mark: BER, not DER."""
    return b"\x30\x80" + signature[2:] + b"\x00\x00"


def raw(signature: bytes) -> bytes:
    """``r || s`` in 64 bytes, as wallets write it."""
    r, s = decode_dss_signature(signature)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def of_integers(r: int, s: int) -> bytes:
    """The sequence of any two integers."""
    body = integer(r) + integer(s)
    return bytes([0x30, len(body)]) + body


def negative_r(signature: bytes) -> bytes:
    """``r`` without the zero byte that keeps it positive, where it needs one."""
    r, s = decode_dss_signature(signature)
    bare = r.to_bytes(32, "big")
    body = bytes([2, len(bare)]) + bare + integer(s)
    return bytes([0x30, len(body)]) + body


def second_signature(number: int, body: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Another signature of the same key over the same message: with a nonce of its own. ``k`` is fixed here, which
    nobody may do with a key that matters."""
    k = int.from_bytes(hashlib.sha256(b"nonce" + body).digest(), "big") % SECP256K1_ORDER
    point = eth_keys.PrivateKey(k.to_bytes(32, "big")).public_key.to_bytes()
    r = int.from_bytes(point[:32], "big") % SECP256K1_ORDER
    secret = attestor(number).key.private_numbers().private_value
    digest = int.from_bytes(message_digest(payload_type, body), "big")
    return encode_der(r, pow(k, -1, SECP256K1_ORDER) * (digest + r * secret) % SECP256K1_ORDER)


def over_body(number: int, body: bytes) -> bytes:
    """Over the payload itself, without DSSE's pre-authentication encoding."""
    return over_digest(number, hashlib.sha256(body).digest())


def over_digest(number: int, digest: bytes) -> bytes:
    """Over any 32 bytes."""
    secret = attestor(number).key.private_numbers().private_value
    signature = eth_keys.PrivateKey(secret.to_bytes(32, "big")).sign_msg_hash(digest)
    return encode_der(signature.r, signature.s)
