"""``keys.create`` with AWS KMS: a new key under a new alias, and never another's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from attest import keys
from attest.errors import OperatorError
from attest.signing import awskms

URI = "awskms:alias/attest/reporter-1?region=eu-central-1"


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    connect = awskms.connect

    def connected(*arguments: Any) -> Any:
        """moto's GetPublicKey leaves out what KMS says of the key: its spec."""
        client = connect(*arguments)

        def complete(parsed: dict[str, Any], **_: Any) -> None:
            if "KeyId" in parsed:
                parsed["KeySpec"] = client.describe_key(KeyId=parsed["KeyId"])["KeyMetadata"]["KeySpec"]

        client.meta.events.register("after-call.kms.GetPublicKey", complete)
        return client

    monkeypatch.setattr(awskms, "connect", connected)
    with mock_aws():
        yield boto3.client("kms", region_name="eu-central-1")


def aliases(kms: Any) -> dict[str, str]:
    found = kms.list_aliases()["Aliases"]
    return {each["AliasName"]: each["TargetKeyId"] for each in found if "TargetKeyId" in each}


def test_create__awskms__is_a_secp256k1_signing_key_under_its_alias(kms: Any, tmp_path: Path) -> None:
    made = keys.create(URI, ed25519=False, password=None, base=tmp_path)
    assert made.identity is not None
    assert made.identity == keys.identity(URI, ed25519=False, password=None, base=tmp_path)
    metadata = kms.describe_key(KeyId=aliases(kms)["alias/attest/reporter-1"])["KeyMetadata"]
    assert (metadata["KeySpec"], metadata["KeyUsage"]) == ("ECC_SECG_P256K1", "SIGN_VERIFY")


def test_create__alias_that_exists__is_refused_and_makes_nothing(kms: Any, tmp_path: Path) -> None:
    keys.create(URI, ed25519=False, password=None, base=tmp_path)
    before = len(kms.list_keys()["Keys"])
    with pytest.raises(OperatorError, match="exists already"):
        keys.create(URI, ed25519=False, password=None, base=tmp_path)
    assert len(kms.list_keys()["Keys"]) == before


@pytest.mark.parametrize("key", ["1234abcd-12ab-34cd-56ef-1234567890ab", "alias/aws/x", "alias/", "alias/a b"])
def test_create__name_that_no_new_key_can_have__is_refused(kms: Any, tmp_path: Path, key: str) -> None:
    before = len(kms.list_keys()["Keys"])
    with pytest.raises(OperatorError):
        keys.create(f"awskms:{key}?region=eu-central-1", ed25519=False, password=None, base=tmp_path)
    assert len(kms.list_keys()["Keys"]) == before


@pytest.mark.parametrize(
    ("code", "expected"), [("AccessDeniedException", "signer-denied"), ("LimitExceededException", "signer-key")]
)
def test_create__aws_refuses__says_why(
    kms: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, expected: str
) -> None:
    connect = awskms.connect

    def refusing(*arguments: Any) -> Any:
        client = connect(*arguments)

        def create_key(**parameters: Any) -> Any:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "CreateKey")

        client.create_key = create_key
        return client

    monkeypatch.setattr(awskms, "connect", refusing)
    with pytest.raises(OperatorError) as refusal:
        keys.create(URI, ed25519=False, password=None, base=tmp_path)
    assert refusal.value.code == expected


def test_create__no_credentials__says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(OperatorError) as refusal:
        keys.create(URI, ed25519=False, password=None, base=tmp_path)
    assert refusal.value.code == "signer-key"
