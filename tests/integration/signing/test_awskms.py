"""AWS KMS: what is asked of it, its Ed25519 log keys, its configuration and its odd answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from attest.errors import OperatorError
from attest.signing import awskms
from attest.signing.external import Patience
from attest.signing.signer import open_note_signer
from tests.support.fakes_aws import ARN, KEY_ID, REGION, AwsKms
from tests.support.replay import Answer

EXAMPLES = Path(__file__).parents[3] / "keys.example"
DIGEST = bytes(range(32))
LOG_KEY = Ed25519PrivateKey.from_private_bytes(b"\x33" * 32)
LOG_PUBLIC = LOG_KEY.public_key().public_bytes_raw()
ADDRESS = AwsKms.key.address


@pytest.fixture(scope="module")
def started() -> Iterator[AwsKms]:
    with AwsKms() as fake:
        yield fake


@pytest.fixture
def kms(started: AwsKms) -> AwsKms:
    started.reset()
    return started


def test_sign_digest__request__says_that_it_is_a_digest(kms: AwsKms) -> None:
    kms.open().sign_digest(DIGEST)

    assert kms.signs == [
        {
            "Message": base64.b64encode(DIGEST).decode(),
            "MessageType": "DIGEST",
            "SigningAlgorithm": "ECDSA_SHA_256",
        }
    ]
    assert f"/{REGION}/kms/aws4_request" in kms.requests[-1].headers["authorization"]


def test_example_policy__what_the_signer_asks_for__is_allowed_and_nothing_else_signs(kms: AwsKms) -> None:
    policy = json.loads((EXAMPLES / "awskms" / "key-policy.json").read_text())
    kms.open().sign_digest(DIGEST)
    (asked,) = kms.signs
    allowed = [one for one in policy["Statement"] if one["Effect"] == "Allow"]
    signing = [one for one in allowed if "kms:Sign" in one["Action"]]

    assert [one["Condition"]["StringEquals"] for one in signing] == [
        {"kms:MessageType": asked["MessageType"], "kms:SigningAlgorithm": asked["SigningAlgorithm"]}
    ]
    assert {f"kms:{operation}" for operation in kms.asked} <= {str(one["Action"]) for one in allowed}
    assert not any("*" in str(one["Action"]) for one in allowed)


@pytest.mark.parametrize("message", [b"example.org/log\n7\nroot\n", b"x" * 4096])
def test_log_key__any_message__plain_ed25519_over_the_whole_of_it(kms: AwsKms, message: bytes) -> None:
    kms.log_key = LOG_KEY
    signer = kms.open_log()

    assert signer.sign(message) == LOG_KEY.sign(message)
    assert signer.public_key == LOG_PUBLIC
    assert [(one["MessageType"], one["SigningAlgorithm"]) for one in kms.signs] == [("RAW", "ED25519_SHA_512")]


def test_log_key__signature_over_another_message__refused(kms: AwsKms) -> None:
    kms.log_key = LOG_KEY
    signer = kms.open_log()
    kms.faults = ["another digest"]

    with pytest.raises(OperatorError) as refusal:
        signer.sign(b"note")

    assert refusal.value.code == "signer-unfaithful"


@pytest.mark.parametrize(("fault", "code"), [("denied", "signer-denied"), ("throttled", "signer-unavailable")])
def test_log_key__service_refuses__same_errors(kms: AwsKms, fault: str, code: str) -> None:
    kms.log_key = LOG_KEY
    signer = kms.open_log()
    kms.faults = [fault] * 9

    with pytest.raises(OperatorError) as refusal:
        signer.sign(b"note")

    assert refusal.value.code == code


def test_open_note_signer__pinned_and_another__opened_and_refused(
    kms: AwsKms, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kms.log_key = LOG_KEY
    kms.configure(monkeypatch)

    assert open_note_signer(f"awskms:{ARN}", public_key=LOG_PUBLIC, password=None, base=tmp_path).sign(b"n")
    with pytest.raises(OperatorError) as refusal:
        open_note_signer(f"awskms:{ARN}", public_key=bytes(32), password=None, base=tmp_path)

    assert refusal.value.code == "signer-mismatch"


def test_open__key_of_the_other_kind__refused(kms: AwsKms) -> None:
    with pytest.raises(OperatorError, match="not a Ed25519 key"):
        kms.open_log()
    kms.log_key = LOG_KEY
    with pytest.raises(OperatorError, match="not a secp256k1 key") as refusal:
        kms.open()

    assert refusal.value.code == "signer-key"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>a proxy's page</html>",
        b"[]",
        b"{}",
        json.dumps({"Signature": "not base64!"}).encode(),
        json.dumps({"Signature": 7}).encode(),
        json.dumps({"Signature": None}).encode(),
    ],
)
def test_sign__unreadable_answer__refused(kms: AwsKms, body: bytes) -> None:
    signer = kms.open()
    kms.answers = [Answer(body, headers={"Content-Type": "application/x-amz-json-1.1"})]

    with pytest.raises(OperatorError) as refusal:
        signer.sign_digest(DIGEST)

    assert refusal.value.code == "signer-unfaithful"


@pytest.mark.parametrize("spki", ["", "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAE"])
def test_open__public_key_that_is_none__refused(kms: AwsKms, spki: str) -> None:
    kms.answers = [Answer(json.dumps({"KeySpec": "ECC_SECG_P256K1", "PublicKey": spki}).encode())]

    with pytest.raises(OperatorError, match="public key cannot be read") as refusal:
        kms.open()

    assert refusal.value.code == "signer-unfaithful"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (503, "ServiceUnavailable", "signer-unavailable"),
        (429, "TooManyRequestsException", "signer-unavailable"),
        (400, "RequestLimitExceeded", "signer-unavailable"),
        (400, "ExpiredTokenException", "signer-denied"),
        (403, "Whatever", "signer-denied"),
        (400, "KMSInvalidStateException", "signer-key"),
        (400, "InvalidKeyUsageException", "signer-key"),
    ],
)
def test_sign__error_of_the_service__sorted_by_who_can_mend_it(
    kms: AwsKms, status: int, code: str, expected: str
) -> None:
    signer = kms.open()
    kms.answers = [Answer(json.dumps({"__type": code, "message": "why"}).encode(), status)] * 3

    with pytest.raises(OperatorError) as refusal:
        signer.sign_digest(DIGEST)

    assert refusal.value.code == expected
    assert f"{code}: why" in refusal.value.message


def test_sign__nobody_listens__unavailable_and_the_endpoint_named(kms: AwsKms, monkeypatch: pytest.MonkeyPatch) -> None:
    kms.configure(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1")
    patience = Patience(timeout=1, attempts=2, pause=0.001)

    with pytest.raises(OperatorError, match=r"127\.0\.0\.1:1") as refusal:
        awskms.AwsKmsDigestSigner(KEY_ID, awskms.connect(REGION, patience), patience)

    assert refusal.value.code == "signer-unavailable"


# -- configuration ---------------------------------------------------------------------------------------------------


def test_open__no_credentials__denied_before_anything_is_sent(
    kms: AwsKms, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kms.configure(monkeypatch)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(OperatorError) as refusal:
        awskms.open_digest_signer(f"{KEY_ID}?region={REGION}", password=None, base=tmp_path)

    assert refusal.value.code == "signer-denied"
    assert "kms:GetPublicKey" in refusal.value.advice
    assert kms.requests == []


@pytest.mark.parametrize(
    ("variable", "value"), [("AWS_PROFILE", "nobody"), ("AWS_REGION", ""), ("AWS_ENDPOINT_URL_KMS", "no url")]
)
def test_open__aws_not_configured__refused_with_what_to_set(
    kms: AwsKms, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str
) -> None:
    kms.configure(monkeypatch)
    monkeypatch.setenv(variable, value)
    region = "" if variable == "AWS_REGION" else f"?region={REGION}"

    with pytest.raises(OperatorError, match="AWS is not configured") as refusal:
        awskms.open_digest_signer(f"{KEY_ID}{region}", password=None, base=tmp_path)

    assert refusal.value.code == "signer-key"
    assert "?region=" in refusal.value.advice


@pytest.mark.parametrize(
    ("location", "region"),
    [
        (KEY_ID, "us-east-1"),
        (f"{KEY_ID}?region=eu-west-1", "eu-west-1"),
        (ARN, REGION),
        (f"{ARN}?region={REGION}", REGION),
    ],
)
def test_open__location__asks_that_region(
    kms: AwsKms, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, location: str, region: str
) -> None:
    kms.configure(monkeypatch)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    assert awskms.open_digest_signer(location, password=None, base=tmp_path).address == ADDRESS
    assert f"/{region}/kms/" in kms.requests[-1].headers["authorization"]


@pytest.mark.parametrize(
    "location",
    [
        "?region=eu-central-1",
        "alias/a b",
        f"{KEY_ID}?",
        f"{KEY_ID}?region",
        f"{KEY_ID}?region=",
        f"{KEY_ID}?region=EU",
        f"{KEY_ID}?region=eu-west-1&region=eu-west-2",
        f"{KEY_ID}?zone=eu-central-1",
        f"{ARN}?region=eu-west-1",
        "arn:aws:s3:::bucket",
        "arn:aws:kms::111122223333:key/x",
    ],
)
def test_open__malformed_location__refused(tmp_path: Path, location: str) -> None:
    with pytest.raises(OperatorError, match="not a key of AWS KMS") as refusal:
        awskms.open_digest_signer(location, password=None, base=tmp_path)

    assert refusal.value.code == "signer-key"
    assert location in refusal.value.message
