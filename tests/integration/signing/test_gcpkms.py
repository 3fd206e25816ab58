"""Google Cloud KMS: checksums, names, credentials, locations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.auth.exceptions import RefreshError
from google.cloud import kms as library
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport

from attest.errors import OperatorError
from attest.signing import gcpkms
from attest.signing.external import Patience
from tests.support.fakes_google import VERSION, GoogleKms

DIGEST = bytes(range(32))


@pytest.fixture(scope="module")
def started() -> Iterator[GoogleKms]:
    with GoogleKms() as fake:
        yield fake


@pytest.fixture
def kms(started: GoogleKms) -> GoogleKms:
    started.reset()
    return started


def test_crc32c__published_vectors__match() -> None:
    """RFC 3720, appendix B.4, and the check value of CRC-32C."""
    assert gcpkms.crc32c(bytes(32)) == 0x8A9136AA
    assert gcpkms.crc32c(b"\xff" * 32) == 0x62A8AB43
    assert gcpkms.crc32c(bytes(range(32))) == 0x46DD794E
    assert gcpkms.crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize(
    "changes",
    [
        {"name": VERSION[:-1] + "2"},
        {"signature_crc32c": 1},
        {"signature_crc32c": None},
        {"signature": b""},
        {"verified_digest_crc32c": False},
    ],
)
def test_sign__answer_damaged_or_another_versions__refused(kms: GoogleKms, changes: dict[str, Any]) -> None:
    signer = kms.open()
    kms.changes = changes

    with pytest.raises(OperatorError) as refusal:
        signer.sign_digest(DIGEST)

    assert refusal.value.code == "signer-unfaithful"


@pytest.mark.parametrize("changes", [{"name": "other"}, {"pem_crc32c": 1}, {"pem": ""}, {"pem": "-----BEGIN"}])
def test_open__public_key_damaged_or_another_versions__refused(kms: GoogleKms, changes: dict[str, Any]) -> None:
    if changes.get("pem"):
        changes["pem_crc32c"] = gcpkms.crc32c(changes["pem"].encode())
    kms.changes = changes

    with pytest.raises(OperatorError) as refusal:
        kms.open()

    assert refusal.value.code == "signer-unfaithful"


def test_sign__nobody_listens__unavailable(kms: GoogleKms) -> None:
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        client = library.KeyManagementServiceClient(transport=KeyManagementServiceGrpcTransport(channel=channel))

        with pytest.raises(OperatorError, match="asked 2 times") as refusal:
            gcpkms.GcpKmsSigner(VERSION, client, Patience(timeout=1, attempts=2, pause=0.001))

    assert refusal.value.code == "signer-unavailable"


def test_sign__credentials_that_expired__denied(kms: GoogleKms, monkeypatch: pytest.MonkeyPatch) -> None:
    client = kms.client()

    def refuse(**_: Any) -> None:
        raise RefreshError("Reauthentication is needed.")

    signer = gcpkms.GcpKmsSigner(VERSION, client)
    monkeypatch.setattr(client, "asymmetric_sign", refuse)

    with pytest.raises(OperatorError, match="Reauthentication is needed") as refusal:
        signer.sign_digest(DIGEST)

    assert refusal.value.code == "signer-denied"
    assert "useToSign" in refusal.value.advice


def test_open__no_credentials__denied_naming_the_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))

    with pytest.raises(OperatorError, match=r"none\.json") as refusal:
        gcpkms.open_digest_signer(VERSION, password=None, base=tmp_path)

    assert refusal.value.code == "signer-denied"
    assert "roles/cloudkms.signer" in refusal.value.advice


@pytest.mark.parametrize(
    "location",
    [VERSION.rpartition("/cryptoKeyVersions")[0], VERSION + "/x", "/" + VERSION, VERSION.replace("issuer", "")],
)
def test_open__malformed_location__refused(tmp_path: Path, location: str) -> None:
    with pytest.raises(OperatorError, match="not a key version of Google Cloud KMS") as refusal:
        gcpkms.open_digest_signer(location, password=None, base=tmp_path)

    assert refusal.value.code == "signer-key"
    assert location in refusal.value.message
