"""The weekly run with a time-stamping authority: asked, verified, kept, published, and checked by the auditor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from attest.records import from_json, to_json
from attest.verify.trust import Trust
from tests.support.commands import attest
from tests.support.practice import Week
from tests.support.tsa import Authority

pytestmark = pytest.mark.requires("openssl", "apt-get install openssl")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa"))


def configure(week: Week, url: str, root: str, *, required: bool = True) -> None:
    section = f'\n[log.timestamp]\nurl = "{url}"\nname = "here"\nauthority = """\n{root}"""\n'
    week.edit_config(lambda text: text + section + f"required = {str(required).lower()}\n")


def test_run__authority_configured__stamp_is_published_and_verifies(
    operator: Week, authority: Authority, tmp_path: Path
) -> None:
    with authority.served() as url:
        (tmp_path / "tsa.url").write_text(url)
        configure(operator, f"file:{tmp_path}/tsa.url", authority.root)
        checked = attest("doctor", "--config", operator.config_path, "--json").document["findings"]
        assert {"time stamps by here": "ok"}.items() <= {item["subject"]: item["state"] for item in checked}.items()
        said = attest("run", "--config", operator.config_path)
        assert said.code == 0, said.err
    bundle = operator.folder / "public/attestations/2026-W47"
    stamp = (bundle / "checkpoint.tsr").read_bytes()
    assert stamp == (operator.folder / "public/log/timestamps/1/here.tsr").read_bytes()
    # As docs/log.md says: the three lines after the first blank one are what was stamped.
    lines = (bundle / "attestation.tlog-proof").read_bytes().split(b"\n\n", 1)[1].splitlines(keepends=True)
    assert authority.verifies(b"".join(lines[:3]), stamp)
    example = from_json(Trust, (operator.folder / "public/trust.example.json").read_bytes(), "the example")
    assert example.timestamp_authorities == (authority.root,)
    trust = tmp_path / "trust.json"
    trust.write_bytes(to_json(replace(example, demands=("timestamp",))))
    # The network's clock is pinned, the authority's is not: judged now, like any rehearsal.
    verdict = attest("verify", bundle, "--trust", trust, "--json").document
    found = next(check for check in verdict["checks"] if check["name"] == "timestamp")
    assert found["outcome"] == "pass", found
    assert verdict["unmet"] == []


def test_run__required_stamp_is_not_given__stops_and_goes_on_when_it_is(operator: Week, authority: Authority) -> None:
    with authority.served() as url:
        pass
    configure(operator, url, authority.root)
    doctor = attest("doctor", "--config", operator.config_path, "--json")
    assert doctor.code == 2
    assert "time stamps by here" in {
        item["subject"] for item in doctor.document["findings"] if item["state"] == "error"
    }
    said = attest("run", "--config", operator.config_path, "--json")
    assert (said.code, said.document["code"]) == (5, "timestamp-missing")
    assert not (operator.folder / "public/attestations").exists()
    with authority.served() as again:
        operator.edit_config(lambda text: text.replace(url, again))
        said = attest("run", "--config", operator.config_path)
    assert said.code == 0, said.err
    assert (operator.folder / "public/attestations/2026-W47/checkpoint.tsr").exists()
    assert len(list((operator.folder / "public/log/tile/entries").rglob("*"))) == 2  # one folder, one bundle


def test_run__stamp_by_another_authority_and_none_required__is_left_out(
    operator: Week, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger")
    with stranger.served() as url:
        configure(operator, url, authority.root, required=False)
        said = attest("run", "--config", operator.config_path)
    assert said.code == 0, said.err
    assert not (operator.folder / "public/attestations/2026-W47/checkpoint.tsr").exists()
    assert not (operator.folder / "public/log/timestamps").exists()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("BEGIN CERTIFICATE", "BEGIN NOTHING", "is not a certificate in PEM"),
        ('name = "here"', 'name = "../here"', "log.timestamp.name"),
        ('url = "http:', 'url = "ftp:', "log.timestamp.url"),
    ],
)
def test_configuration__time_stamp_section_is_wrong__is_refused_by_key(
    operator: Week, authority: Authority, old: str, new: str, why: str
) -> None:
    configure(operator, "http://127.0.0.1:9", authority.root)
    operator.edit_config(lambda text: new.join(text.rsplit(old, 1)))
    said = attest("run", "--config", operator.config_path, "--json")
    assert said.code == 2
    assert why in said.document["error"]
