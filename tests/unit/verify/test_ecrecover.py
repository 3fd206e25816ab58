"""Public-key recovery, against an independent implementation."""

from __future__ import annotations

import hashlib

import pytest
from eth_keys import keys
from hypothesis import given, settings
from hypothesis import strategies as st

from attest.verify.ecrecover import recover

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = keys.PrivateKey(hashlib.sha256(b"key").digest())
DIGEST = hashlib.sha256(b"message").digest()
SIGNATURE = KEY.sign_msg_hash(DIGEST).to_bytes()


@settings(max_examples=40, deadline=None)
@given(secret=st.integers(1, ORDER - 1), digest=st.binary(min_size=32, max_size=32))
def test_recover__any_key_and_digest__gives_the_signer(secret: int, digest: bytes) -> None:
    key = keys.PrivateKey(secret.to_bytes(32, "big"))

    assert recover(digest, key.sign_msg_hash(digest).to_bytes()) == key.public_key.to_bytes()


@settings(max_examples=40, deadline=None)
@given(position=st.integers(0, 64), bit=st.integers(0, 7))
def test_recover__any_bit_flipped__is_another_key_or_none(position: int, bit: int) -> None:
    flipped = bytearray(SIGNATURE)
    flipped[position] ^= 1 << bit

    assert recover(DIGEST, bytes(flipped)) != KEY.public_key.to_bytes()


def test_recover__another_digest__is_another_key() -> None:
    assert recover(hashlib.sha256(b"other").digest(), SIGNATURE) != KEY.public_key.to_bytes()


@pytest.mark.parametrize(
    ("digest", "signature"),
    [
        (DIGEST[:31], SIGNATURE),
        (DIGEST, SIGNATURE[:64]),
        (DIGEST, SIGNATURE + b"\0"),
        (DIGEST, SIGNATURE[:64] + b"\x1b"),
        (DIGEST, bytes(32) + SIGNATURE[32:]),
        (DIGEST, SIGNATURE[:32] + bytes(32) + SIGNATURE[64:]),
        (DIGEST, ORDER.to_bytes(32, "big") + SIGNATURE[32:]),
        (DIGEST, SIGNATURE[:32] + ORDER.to_bytes(32, "big") + SIGNATURE[64:]),
        (DIGEST, (5).to_bytes(32, "big") + SIGNATURE[32:]),  # no point of the curve has x = 5
    ],
)
def test_recover__malformed__gives_none(digest: bytes, signature: bytes) -> None:
    assert recover(digest, signature) is None


def test_recover__point_at_infinity__gives_none() -> None:
    # With R = G (r = x of G) and s = z, s*R - z*G is nothing.
    x = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798
    digest = (7).to_bytes(32, "big")

    assert recover(digest, x.to_bytes(32, "big") + digest + b"\0") is None


def test_recover__both_addends_equal__doubles() -> None:
    # With R = G and s = -z, both products are the same point.
    x = 0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798
    z = 7
    signature = x.to_bytes(32, "big") + (ORDER - z).to_bytes(32, "big") + b"\0"
    expected = keys.PrivateKey((-2 * z * pow(x, -1, ORDER) % ORDER).to_bytes(32, "big")).public_key.to_bytes()

    assert recover(z.to_bytes(32, "big"), signature) == expected
