"""Evidence sealed by an AWS KMS data key, against a KMS protocol server on loopback; and a whole run with a key."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from attest.custody.document import Document
from attest.custody.evidence import Evidence
from attest.custody.sealing import Cipher
from attest.errors import OperatorError
from attest.records import digest
from attest.store import LocalStore
from tests.support.commands import attest
from tests.support.practice import Week, prepared, week


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The ARN of a KMS key, and the environment that leads to it."""
    import boto3
    from moto.server import ThreadedMotoServer

    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }.items():
        monkeypatch.setenv(name, value)
    yield boto3.client("kms", region_name="eu-central-1").create_key()["KeyMetadata"]["Arn"]
    moto.stop()


def cipher(key: str) -> Cipher:
    return Cipher(f"aws-kms:{key}", lambda reference: "")


def test_keep__with_a_kms_key__is_opened_by_another_process_through_the_wrapped_data_key(
    key: str, tmp_path: Path
) -> None:
    evidence = Evidence(LocalStore(tmp_path), cipher(key))
    documents = [Document.of("a", b"first"), Document.of("b", b"second")]
    for document in documents:
        evidence.keep(document)
    later = Evidence(LocalStore(tmp_path), cipher(key))
    assert [later.load(one.digest, "x").read(100) for one in documents] == [b"first", b"second"]
    assert b"first" not in (tmp_path / "sealed-evidence" / digest(b"first")).read_bytes()


def test_keep__kms_key_that_is_not_there__says_what_was_refused(key: str, tmp_path: Path) -> None:
    missing = key[:-4] + "0000"
    with pytest.raises(OperatorError, match="generate_data_key") as caught:
        Evidence(LocalStore(tmp_path), cipher(missing)).keep(Document.of("a", b"first"))
    assert caught.value.code == "evidence-key"


def test_run__evidence_key_configured__keeps_only_sealed_evidence_and_shows_it_to_who_has_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVIDENCE_KEY", base64.b64encode(bytes(range(32))).decode())
    with prepared(tmp_path / "network") as (template, url), week(template, url, tmp_path / "week") as operator:
        operator.edit_config(lambda text: text.replace("[stores]", '[stores]\nevidence_key = "env:EVIDENCE_KEY"', 1))
        assert operator.run().exit_code == 0
        kept = {name: data for name, data in operator.stored().items() if name.startswith("sealed-evidence/")}
        assert len(kept) > 5
        assert not any(b"Nordlicht" in data or b"DE19" in data for data in kept.values())
        said = attest("custody", "evidence", next(iter(kept)).split("/")[1], "--config", operator.config_path)
        assert said.code == 0, said.everything
        assert digest(said.out.encode()) == next(iter(kept)).split("/")[1]
        sent = operator.sent()
        assert operator.run().exit_code == 0
        assert operator.sent() == sent


def test_doctor__evidence_key_that_cannot_be_had__is_an_error(week_with_key: Week) -> None:
    said = attest("doctor", "--config", week_with_key.config_path)
    assert said.code != 0
    assert "evidence key" in said.everything


@pytest.fixture
def week_with_key(tmp_path: Path) -> Iterator[Week]:
    with prepared(tmp_path / "network") as (template, url), week(template, url, tmp_path / "week") as operator:
        operator.edit_config(
            lambda text: text.replace("[stores]", '[stores]\nevidence_key = "env:NOT_SET_ANYWHERE"', 1)
        )
        yield operator
