"""The DSSE envelope: what is signed, and every signature that must be refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from attest.errors import ConflictError, VerificationError
from attest.signing.dsse import (
    MAX_ENVELOPE_BYTES,
    address_of,
    assemble_envelope,
    encode_der,
    keyid_of,
    message_digest,
    pae,
    parse_envelope,
    spki_der,
    spki_pem,
    verify_signature,
)
from attest.signing.signer import SECP256K1_ORDER

TYPE = "application/vnd.in-toto+json"
BODY = b'{"_type":"https://in-toto.io/Statement/v1"}\n'
KEY = ec.derive_private_key(0xA11CE, ec.SECP256K1())
OTHER = ec.derive_private_key(0xB0B, ec.SECP256K1())


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def sign(payload_type: str = TYPE, body: bytes = BODY, key: ec.EllipticCurvePrivateKey = KEY) -> tuple[int, int]:
    der = key.sign(message_digest(payload_type, body), ec.ECDSA(Prehashed(SHA256())))
    return decode_dss_signature(der)


def refused(code: str, check: Callable[[], object]) -> None:
    with pytest.raises(VerificationError) as caught:
        check()
    assert caught.value.code == code
    assert caught.value.advice


PUBLIC = spki_der(point(KEY))

# -- what is signed --------------------------------------------------------------------------------------------------


def test_pae__specification_example__is_met() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_pae__lengths__count_bytes() -> None:
    assert pae("é", b"\x00") == b"DSSEv1 2 \xc3\xa9 1 \x00"


@given(st.text(max_size=12), st.binary(max_size=12), st.text(max_size=12), st.binary(max_size=12))
def test_attack_21__pae_confusion__two_messages_never_share_an_encoding(
    first_type: str, first: bytes, second_type: str, second: bytes
) -> None:
    assert (pae(first_type, first) == pae(second_type, second)) == ((first_type, first) == (second_type, second))


@given(st.binary(max_size=30), st.integers(0, 30))
def test_attack_21__boundary_between_type_and_body_moved__is_another_message(text: bytes, cut: int) -> None:
    whole = text.hex()
    one = pae(whole[:cut], whole[cut:].encode())
    for other in range(len(whole) + 1):
        if whole[:other] != whole[:cut]:
            assert pae(whole[:other], whole[other:].encode()) != one


def test_message_digest__is_the_sha256_of_the_pae() -> None:
    assert message_digest(TYPE, BODY) == hashlib.sha256(pae(TYPE, BODY)).digest()


# -- signatures ------------------------------------------------------------------------------------------------------


def test_verify__own_signature__accepts_every_form_of_the_key() -> None:
    signature = encode_der(*sign())
    for key in (PUBLIC, spki_pem(point(KEY)).encode(), point(KEY)):
        verify_signature(key, TYPE, BODY, signature)


@given(st.text(max_size=20), st.binary(max_size=60))
def test_verify__any_type_and_body__round_trips(payload_type: str, body: bytes) -> None:
    verify_signature(PUBLIC, payload_type, body, encode_der(*sign(payload_type, body)))


def test_encode_der__high_s__is_brought_into_the_lower_half() -> None:
    r, s = sign()
    assert encode_der(r, s) == encode_der(r, SECP256K1_ORDER - s)
    assert decode_dss_signature(encode_der(r, s))[1] <= SECP256K1_ORDER // 2


@pytest.mark.parametrize(("r", "s"), [(0, 1), (1, 0), (SECP256K1_ORDER, 1), (1, SECP256K1_ORDER), (-1, 1)])
def test_encode_der__number_outside_the_group__is_a_programming_error(r: int, s: int) -> None:
    with pytest.raises(ValueError, match="between 1 and the group order"):
        encode_der(r, s)


def test_attack_21__high_s_twin__is_refused() -> None:
    r, s = sign()
    twin = encode_dss_signature(r, SECP256K1_ORDER - min(s, SECP256K1_ORDER - s))
    refused("signature-high-s", lambda: verify_signature(PUBLIC, TYPE, BODY, twin))


def test_attack_21__signature_by_another_known_key__is_refused() -> None:
    signature = encode_der(*sign(key=OTHER))
    verify_signature(point(OTHER), TYPE, BODY, signature)
    refused("signature-invalid", lambda: verify_signature(PUBLIC, TYPE, BODY, signature))


def test_attack_21__wrong_payload_type__is_refused() -> None:
    signature = encode_der(*sign("text/plain", BODY))
    refused("signature-invalid", lambda: verify_signature(PUBLIC, TYPE, BODY, signature))


def test_attack_21__signature_over_the_bare_body__is_refused() -> None:
    bare = KEY.sign(BODY, ec.ECDSA(SHA256()))
    signature = encode_der(*decode_dss_signature(bare))
    refused("signature-invalid", lambda: verify_signature(PUBLIC, TYPE, BODY, signature))


def test_verify__changed_body__is_refused() -> None:
    signature = encode_der(*sign())
    refused("signature-invalid", lambda: verify_signature(PUBLIC, TYPE, BODY + b" ", signature))


def test_verify__any_other_encoding_of_the_signature__is_refused() -> None:
    r, s = sign()
    der = encode_der(r, s)
    r, s = decode_dss_signature(der)

    def integer(value: int, pad: int = 0) -> bytes:
        raw = bytes(pad) + value.to_bytes(value.bit_length() // 8 + 1, "big")
        return bytes([2, len(raw)]) + raw

    content = integer(r) + integer(s)
    padded = integer(r, 1) + integer(s)
    assert bytes([0x30, len(content)]) + content == der
    for other in (
        b"",
        der + b"\x00",
        der[:-1],
        bytes([0x30, len(padded)]) + padded,
        bytes([0x30, 0x81, len(content)]) + content,
        bytes([0x30, 0x80]) + content + b"\x00\x00",
        bytes([0x31, len(content)]) + content,
        r.to_bytes(32, "big") + s.to_bytes(32, "big"),
        bytes([0x30, len(content) + 2]) + content + b"\x05\x00",
    ):
        refused("signature-encoding", lambda other=other: verify_signature(PUBLIC, TYPE, BODY, other))


def test_verify__zero_or_negative_numbers__are_refused() -> None:
    for der in (encode_dss_signature(0, 0), encode_dss_signature(1, 0), bytes.fromhex("3006020180020101")):
        with pytest.raises(VerificationError):
            verify_signature(PUBLIC, TYPE, BODY, der)


def test_verify__key_on_another_curve__is_refused() -> None:
    p256 = ec.derive_private_key(5, ec.SECP256R1())
    edwards = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    for key in (p256, edwards):
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        refused("public-key-curve", lambda public=public: verify_signature(public, TYPE, BODY, encode_der(*sign())))


@pytest.mark.parametrize(
    "key",
    [b"", b"\x04" + bytes(64), b"\x04" + b"\x01" * 64, PUBLIC + b"\x00", PUBLIC[:-1], b"-----BEGIN PUBLIC KEY-----\n"],
    ids=["empty", "zero point", "off the curve", "trailing byte", "cut", "empty PEM"],
)
def test_verify__malformed_key__is_refused(key: bytes) -> None:
    refused("public-key-malformed", lambda: verify_signature(key, TYPE, BODY, encode_der(*sign())))


def test_keyid__is_the_sha256_of_the_canonical_spki() -> None:
    compressed = KEY.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    assert len(compressed) == 33
    assert spki_der(spki_pem(point(KEY)).encode()) == PUBLIC
    assert keyid_of(PUBLIC) == hashlib.sha256(PUBLIC).hexdigest()


# -- the envelope ----------------------------------------------------------------------------------------------------


def test_address_of__key_number_one__is_its_account_whatever_the_form_of_the_key() -> None:
    key = ec.derive_private_key(1, ec.SECP256K1()).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for form in (key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), pem):
        assert address_of(form) == "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"


def test_envelope__assembled__parses_to_the_same_parts() -> None:
    signature = encode_der(*sign())
    data = assemble_envelope(TYPE, BODY, [("bb", signature), ("aa", b"other")])
    envelope = parse_envelope(data)
    assert (envelope.payloadType, envelope.body) == (TYPE, BODY)
    assert [(s.keyid, s.signature) for s in envelope.signatures] == [("aa", b"other"), ("bb", signature)]
    assert assemble_envelope(TYPE, BODY, [("aa", b"other"), ("bb", signature)]) == data


@pytest.mark.parametrize("signatures", [[], [("aa", b"1"), ("aa", b"2")]])
def test_envelope__no_signature_or_one_key_twice__is_not_assembled(signatures: list[tuple[str, bytes]]) -> None:
    with pytest.raises(ConflictError, match="one signature of each signing key"):
        assemble_envelope(TYPE, BODY, signatures)


def test_envelope__at_the_limit_of_a_log_entry__fits_and_above_it_does_not() -> None:
    def assembled(size: int) -> bytes:
        return assemble_envelope(TYPE, b"x" * size, [("aa", b"")])

    room = (MAX_ENVELOPE_BYTES - len(assembled(0))) // 4 * 3
    assert MAX_ENVELOPE_BYTES - 4 < len(assembled(room)) <= MAX_ENVELOPE_BYTES
    parse_envelope(assembled(room))
    with pytest.raises(ConflictError, match="at most 65535 fit"):
        assembled(room + 3)
    refused("envelope-too-large", lambda: parse_envelope(assembled(room) + b" " * 4))


@pytest.mark.parametrize(
    "text",
    [
        '{"payload":"YQ==","payloadType":"t","signatures":[]}',
        '{"payload":"YQ","payloadType":"t","signatures":[{"keyid":"a","sig":"YQ=="}]}',
        '{"payload":"YR==","payloadType":"t","signatures":[{"keyid":"a","sig":"YQ=="}]}',
        '{"payload":"YQ==","payloadType":"t","signatures":[{"keyid":"a","sig":"YQ==\\n"}]}',
        '{"payload":"_-==","payloadType":"t","signatures":[{"keyid":"a","sig":"YQ=="}]}',
        '{"payload":"YQ==","payloadType":"t","signatures":[{"keyid":"a","sig":"YQ==","cert":"x"}]}',
        '{"payload":"YQ==","payload":"Yg==","payloadType":"t","signatures":[{"keyid":"a","sig":"YQ=="}]}',
        '{"payloadType":"t","signatures":[{"keyid":"a","sig":"YQ=="}]}',
        '{"payload":"YQ==","payloadType":"t","signatures":{"keyid":"a","sig":"YQ=="}}',
    ],
)
def test_envelope__malformed__is_refused(text: str) -> None:
    with pytest.raises(VerificationError, match=r"in\.json"):
        parse_envelope(text.encode(), "in.json")
