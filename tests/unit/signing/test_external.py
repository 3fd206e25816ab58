"""What all external keys have in common: answers into signatures, and patience that ends."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from attest.errors import OperatorError
from attest.signing.external import (
    PATIENCE,
    BusyError,
    Patience,
    address_of,
    denied,
    ed25519_point,
    from_der,
    from_raw,
    recoverable,
    secp256k1_point,
)
from attest.signing.keystore import KeystoreSigner
from attest.signing.signer import SECP256K1_ORDER

KEY = KeystoreSigner(b"\x11" * 32)
digests = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, 2**256 - 1)


@settings(max_examples=40)
@given(st.integers(1, SECP256K1_ORDER - 1), digests, st.booleans())
def test_recoverable__any_key_digest_and_side_of_s__the_keystores_own_signature(
    secret: int, digest: bytes, high: bool
) -> None:
    key = KeystoreSigner(secret.to_bytes(32, "big"))
    expected = key.sign_digest(digest)
    s = SECP256K1_ORDER - expected.s if high else expected.s

    der = encode_dss_signature(expected.r, s)
    raw = expected.r.to_bytes(32, "big") + s.to_bytes(32, "big")

    assert from_der("key", der) == from_raw("key", raw) == (expected.r, s)
    assert recoverable("key", key.public_key, digest, expected.r, s) == expected
    assert address_of(key.public_key) == key.address


@settings(max_examples=40)
@given(numbers, numbers, digests)
def test_recoverable__any_other_numbers__refused(r: int, s: int, digest: bytes) -> None:
    with pytest.raises(OperatorError) as refusal:
        recoverable("key", KEY.public_key, digest, r, s)
    assert refusal.value.code == "signer-unfaithful"


@pytest.mark.parametrize(("r", "s"), [(0, 1), (1, 0), (SECP256K1_ORDER, 1), (1, SECP256K1_ORDER), (-1, 1), (5, 1)])
def test_recoverable__outside_the_group_or_no_point__refused(r: int, s: int) -> None:
    with pytest.raises(OperatorError) as refusal:
        recoverable("key", KEY.public_key, bytes(32), r, s)
    assert refusal.value.code == "signer-unfaithful"


@given(st.binary(max_size=80))
def test_from_der__any_bytes__refused_or_exactly_these_numbers(content: bytes) -> None:
    try:
        r, s = from_der("key", content)
    except OperatorError:
        return
    assert encode_dss_signature(r, s) == content


@pytest.mark.parametrize(
    "content", [b"", b"0", b"0\x06\x02\x01\x01\x02\x01\x01\x00", b"0\x07\x02\x02\x00\x01\x02\x01\x01"]
)
def test_from_der__cut_off_trailing_or_not_minimal__refused(content: bytes) -> None:
    with pytest.raises(OperatorError) as refusal:
        from_der("key", content)
    assert refusal.value.code == "signer-unfaithful"


@given(st.binary(max_size=130).filter(lambda content: len(content) != 64))
def test_from_raw__another_length__refused(content: bytes) -> None:
    with pytest.raises(OperatorError, match=f"but {len(content)} bytes") as refusal:
        from_raw("key", content)
    assert refusal.value.code == "signer-unfaithful"


@pytest.mark.parametrize("encoding", [Encoding.DER, Encoding.PEM])
def test_points__keys_of_each_kind__read_or_refused(encoding: Encoding) -> None:
    def spki(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
        return key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)

    ours = ec.derive_private_key(int.from_bytes(b"\x11" * 32, "big"), ec.SECP256K1())
    other = ec.derive_private_key(5, ec.SECP256R1())
    note = Ed25519PrivateKey.from_private_bytes(b"\x11" * 32)

    assert secp256k1_point("key", spki(ours)) == KEY.public_key
    assert ed25519_point("key", spki(note)) == note.public_key().public_bytes_raw()
    for read, wrong in ((secp256k1_point, other), (secp256k1_point, note), (ed25519_point, ours)):
        with pytest.raises(OperatorError, match="is not a") as refusal:
            read("key", spki(wrong))
        assert refusal.value.code == "signer-key"
    for junk in (b"", b"-----BEGIN PUBLIC KEY-----", b"0"):
        with pytest.raises(OperatorError, match="cannot be read") as refusal:
            secp256k1_point("key", junk)
        assert refusal.value.code == "signer-unfaithful"


def test_patience__busy_then_an_answer__the_answer_after_doubled_pauses() -> None:
    slept: list[float] = []
    busy = [BusyError("one"), BusyError("two"), BusyError("three")]

    def request() -> str:
        if busy:
            raise busy.pop()
        return "signed"

    assert Patience(attempts=4, pause=1.0, sleep=slept.append).ask("key", request) == "signed"
    assert slept == [1.0, 2.0, 4.0]


def test_patience__never_an_answer__given_up_with_the_last_reason() -> None:
    slept: list[float] = []
    calls: list[int] = []

    def request() -> None:
        calls.append(1)
        raise BusyError(f"reason {len(calls)}")

    with pytest.raises(OperatorError, match=r"signer 'key': reason 3 \(asked 3 times\)") as refusal:
        Patience(attempts=3, sleep=slept.append).ask("key", request)

    assert refusal.value.code == "signer-unavailable"
    assert refusal.value.advice
    assert len(slept) == 2


def test_patience__the_operators__ends_within_a_minute_or_so() -> None:
    pauses = sum(PATIENCE.pause * 2**number for number in range(PATIENCE.attempts - 1))

    assert PATIENCE.attempts * PATIENCE.timeout + pauses <= 70


def test_refusal__a_services_long_and_strange_words__one_bounded_printable_line() -> None:
    error = denied("awskms:x", "no\n\x1b[31m" + "y" * 5000, "kms:Sign")

    assert len(error.message) < 500
    assert error.message.isprintable()
    assert error.advice.endswith("grant it kms:Sign.")
