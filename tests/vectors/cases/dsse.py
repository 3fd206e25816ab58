"""Envelopes by themselves: is this key's signature over this payload, of the type that is expected?

What openssl says is of the signatures alone, over the PAE of the envelope's own type and payload.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from attest.documents import MANIFEST_PAYLOAD_TYPE, PAYLOAD_TYPE
from attest.records import encode_base64
from attest.signing import dsse
from attest.signing.signer import SECP256K1_ORDER
from tests.support.bundles import attestor
from tests.vectors.cases import ecdsa
from tests.vectors.cases.case import Case, replaced

#: Base64 of it has a plus sign and a slash.
BODY = b'{"reserve":"120411307","issuer":"\xc2\xab\xc3\xbe\xc3\xbf\xc2\xbb?>"}\n'
SIGNATURE = attestor(0).sign(BODY)


def envelope(signature: bytes = SIGNATURE, body: bytes = BODY, payload_type: str = PAYLOAD_TYPE) -> bytes:
    return json.dumps(
        {
            "payload": encode_base64(body),
            "payloadType": payload_type,
            "signatures": [{"keyid": attestor(0).keyid, "sig": encode_base64(signature)}],
        },
        separators=(",", ":"),
    ).encode()


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    plain = json.loads(envelope())
    change(plain)
    return json.dumps(plain, separators=(",", ":")).encode()


def signed(
    name: str,
    description: str,
    reason: str,
    data: bytes,
    *,
    attack: int | None = 21,
    key: str = attestor(0).pem,
    payload_type: str = PAYLOAD_TYPE,
    valid: bool = False,
    openssl: str | None = None,
) -> Case:
    """A line; ``openssl`` is its verdict where it is another one."""
    elsewhere: Mapping[str, str] = {} if openssl is None else {"openssl": openssl}
    given = {"envelope": encode_base64(data), "payload_type": payload_type, "public_key": key}
    return Case("dsse", name, attack, description, reason, lambda: given, 0 if valid else 6, elsewhere=elsewhere)


def _other_curve() -> tuple[str, bytes]:
    """A key on P-256 and its signature."""
    key = ec.derive_private_key(1, ec.SECP256R1())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    algorithm = ec.ECDSA(SHA256(), deterministic_signing=True)
    return pem, ecdsa.of_integers(*decode_dss_signature(key.sign(dsse.pae(PAYLOAD_TYPE, BODY), algorithm)))


_P256_PEM, _P256_SIGNATURE = _other_curve()
_FORM = "A signature has one form, or anybody can make a second one of it."

CASES: tuple[Case, ...] = (
    signed("valid", "A signed payload.", "It is that key's.", envelope(), attack=None, valid=True),
    signed(
        "valid-empty-payload",
        "An empty payload.",
        "It can be signed like any other.",
        envelope(attestor(0).sign(b""), b""),
        attack=None,
        valid=True,
    ),
    signed(
        "valid-manifest",
        "A payload of another type, which is the expected one.",
        "It is that key's.",
        envelope(attestor(0).sign(BODY, MANIFEST_PAYLOAD_TYPE), payload_type=MANIFEST_PAYLOAD_TYPE),
        payload_type=MANIFEST_PAYLOAD_TYPE,
        valid=True,
    ),
    signed(
        "valid-second-signature",
        "The first signature is a stranger's, the second the key's.",
        "A signature by the key is there.",
        changed(
            lambda p: p["signatures"].insert(0, {"keyid": "ab" * 32, "sig": encode_base64(attestor(7).sign(BODY))})
        ),
        valid=True,
    ),
    signed(
        "valid-keyid-of-another",
        "The keyid is another key's.",
        "It is a hint.",
        changed(lambda p: p["signatures"][0].update(keyid=attestor(1).keyid)),
        valid=True,
    ),
    signed(
        "valid-spaces-around",
        "The envelope's JSON has spaces and line breaks.",
        "What is signed is the payload.",
        json.dumps(json.loads(envelope()), indent=2).encode(),
        valid=True,
    ),
    signed("key-of-another", "Another attestor signed.", "It is not this key's.", envelope(attestor(1).sign(BODY))),
    signed(
        "payload-changed",
        "A digit of the payload was changed.",
        "It is not what was signed.",
        envelope(body=replaced("120411307", "920411307")(BODY)),
        attack=3,
    ),
    signed(
        "payload-with-newline",
        "A newline was added to the payload.",
        "It is not what was signed.",
        envelope(body=BODY + b"\n"),
    ),
    signed(
        "type-unexpected",
        "It is rightly signed, of a type that is not expected.",
        "A signature for one use must not serve another.",
        envelope(attestor(0).sign(BODY, MANIFEST_PAYLOAD_TYPE), payload_type=MANIFEST_PAYLOAD_TYPE),
        openssl="valid",
    ),
    signed(
        "type-changed",
        "The type was changed after signing.",
        "It is not what was signed.",
        envelope(attestor(0).sign(BODY, MANIFEST_PAYLOAD_TYPE)),
    ),
    signed(
        "type-with-space",
        "A space stands behind the type.",
        "It is another type.",
        envelope(payload_type=PAYLOAD_TYPE + " "),
    ),
    signed(
        "pae-shifted",
        "The type's last character was signed as the payload's first.",
        "The lengths in the PAE keep them apart.",
        envelope(attestor(0).sign(PAYLOAD_TYPE[-1:].encode() + BODY, PAYLOAD_TYPE[:-1])),
    ),
    signed(
        "pae-without-lengths",
        "What was signed is the PAE without its lengths.",
        "They keep type and payload apart.",
        envelope(ecdsa.over_body(0, b"DSSEv1 " + PAYLOAD_TYPE.encode() + b" " + BODY)),
    ),
    signed(
        "bare-payload-signed",
        "The payload itself was signed.",
        "What is signed is the PAE.",
        envelope(ecdsa.over_body(0, BODY)),
    ),
    signed(
        "base64-signed",
        "The PAE of the payload's base64 was signed.",
        "What is signed is the payload.",
        envelope(attestor(0).sign(encode_base64(BODY).encode())),
    ),
    signed(
        "hashed-twice",
        "The hash of the hash was signed.",
        "It is hashed once.",
        envelope(ecdsa.over_body(0, dsse.message_digest(PAYLOAD_TYPE, BODY))),
    ),
    signed(
        "high-s",
        "The signature has the higher of the two possible s.",
        _FORM,
        envelope(ecdsa.high_s(SIGNATURE)),
        openssl="valid",
    ),
    signed("padded-r", "A needless zero byte stands before r.", _FORM, envelope(ecdsa.padded_r(SIGNATURE))),
    signed("long-length", "The length takes two bytes.", _FORM, envelope(ecdsa.long_length(SIGNATURE))),
    signed("open-length", "The length is open, as BER allows.", _FORM, envelope(ecdsa.open_length(SIGNATURE))),
    signed("byte-behind", "A byte stands behind the signature.", _FORM, envelope(SIGNATURE + b"\0")),
    signed("cut", "The signature's last byte is missing.", "It is not whole.", envelope(SIGNATURE[:-1])),
    signed("raw", "r and s in 64 bytes.", "It is in DER.", envelope(ecdsa.raw(SIGNATURE))),
    signed("integers-zero", "r and s are 0.", "They are out of range.", envelope(ecdsa.of_integers(0, 0))),
    signed(
        "s-zero", "s is 0.", "It is out of range.", envelope(ecdsa.of_integers(decode_dss_signature(SIGNATURE)[0], 0))
    ),
    signed(
        "integers-of-the-order",
        "r and s are the group's order.",
        "They are out of range.",
        envelope(ecdsa.of_integers(SECP256K1_ORDER, SECP256K1_ORDER)),
    ),
    signed(
        "r-plus-the-order",
        "The group's order is added to r.",
        "It is out of range, and the same in the group.",
        envelope(ecdsa.of_integers(*map(sum, zip(decode_dss_signature(SIGNATURE), (SECP256K1_ORDER, 0), strict=True)))),
        attack=12,
    ),
    signed("integers-one", "r and s are 1.", "It is nobody's signature.", envelope(ecdsa.of_integers(1, 1))),
    signed("empty", "The signature is empty.", "Nobody signed.", envelope(b""), attack=11),
    signed(
        "no-signatures",
        "There is no signature.",
        "Nobody signed.",
        changed(lambda p: p.update(signatures=[])),
        attack=11,
    ),
    signed(
        "other-curve",
        "The key and the signature are on P-256.",
        "Keys are on secp256k1.",
        envelope(_P256_SIGNATURE),
        key=_P256_PEM,
        openssl="valid",
    ),
    signed(
        "payload-twice",
        "The payload stands twice: another first.",
        "Readers differ in which one they take.",
        replaced('{"payload":', '{"payload":"e30=","payload":')(envelope()),
        attack=24,
        openssl="valid",
    ),
    signed(
        "field-unknown",
        "There is a further field.",
        "What is not known could change what it means.",
        changed(lambda p: p.update(trust="me")),
        openssl="valid",
    ),
    signed(
        "payload-in-base64url",
        "The payload is in base64url.",
        "It is in standard base64, with padding.",
        changed(lambda p: p.update(payload=p["payload"].translate(str.maketrans("+/", "-_")))),
    ),
    signed(
        "payload-without-padding",
        "The padding of the payload's base64 is missing.",
        "It has one spelling.",
        changed(lambda p: p.update(payload=p["payload"].rstrip("="))),
    ),
    signed(
        "signature-with-line-break",
        "The signature's base64 is broken into lines.",
        "It has one spelling.",
        changed(
            lambda p: p["signatures"][0].update(
                sig=p["signatures"][0]["sig"][:40] + "\n" + p["signatures"][0]["sig"][40:]
            )
        ),
        openssl="valid",
    ),
    signed(
        "not-json", "The envelope is no JSON.", "It cannot be read.", b"-----BEGIN SIGNED MESSAGE-----\n", attack=24
    ),
)
