"""Two operators, threshold 2: the second decides again from the audit package, signs, and the first goes on."""

from __future__ import annotations

import base64
import json
import shutil
import stat
from pathlib import Path

import pytest

from attest.errors import EXIT_DONE, EXIT_SOURCE, EXIT_USAGE, EXIT_VERIFICATION
from attest.signing import dsse
from attest.signing.keystore import generate_keystore
from tests.support.auditors import PASSWORD, Gpg, Two, two_operators, unpacked
from tests.support.commands import attest
from tests.support.practice import Week

pytestmark = pytest.mark.requires("gpg", "apt-get install gnupg")


@pytest.fixture
def two(audited: Week, gpg: Gpg, tmp_path: Path) -> Two:
    return two_operators(audited, gpg, tmp_path / "second")


def test_cosign__two_operators__attest_together(two: Two) -> None:
    week = two.week
    sent = week.sent()
    assert (two.package / "payload.json").exists()
    assert not (two.package / "bundle").exists()
    said = two.cosign()
    assert said.code == EXIT_DONE, said.everything
    for words in (
        "made again from all this, byte for byte",
        "your node confirms",
        "1,204,113.07 USD held",
        two.address,
    ):
        assert words in said.out
    assert "witness" not in said.out  # it is not logged yet
    signature = two.folder / "signature.json"
    assert stat.S_IMODE(signature.stat().st_mode) == 0o600
    ended = two.run("--cosignature", signature)
    assert ended.code == EXIT_DONE, ended.everything
    assert "signed by 2 of 2 attestors" in ended.everything
    after = week.sent()
    publisher = week.environment().config.signing.publisher.address
    assert {address: count for address, count in after.items() if address != publisher} == {
        address: count for address, count in sent.items() if address != publisher
    }
    trust = two.folder / "trust.json"
    shutil.copy(week.folder / "public/trust.example.json", trust)
    document = json.loads(trust.read_text())
    assert (document["attestor_threshold"], len(document["attestors"])) == (2, 2)
    bundle = week.folder / "public/attestations/2026-W47"
    verified = attest("verify", bundle, "--trust", trust, "--at", "2026-11-24T08:00:00Z")
    assert verified.code == EXIT_DONE, verified.everything
    again = two.run("--cosignature", signature)
    assert again.code == EXIT_DONE, again.everything
    assert "Nothing was sent" in again.out


def test_cosign__package_as_it_was_made__checks_without_signing(two: Two) -> None:
    said = attest("cosign", two.package, "--check", "--without-chain", "--json")
    assert said.code == EXIT_DONE
    assert "supply, blocks and consensus: no node of your own was asked" in said.document["as_stated"]
    assert said.document["as_stated"][0].startswith("the configuration (tokens, contracts, accounts, sources)")
    assert said.document["file"] is None
    assert len(said.document["same"]) == 6


def test_run__no_cosignature_yet__says_every_command_and_sends_nothing_twice(two: Two) -> None:
    sent = two.week.sent()
    said = two.run()
    assert said.code == EXIT_USAGE
    for command in ("attest audit-package --period 2026-W47", "attest cosign", "attest run --period 2026-W47 --cosig"):
        assert command in said.err
    assert two.week.sent() == sent


def test_cosign__options_that_do_not_fit__are_refused(two: Two) -> None:
    for words in (("--check",), ("--check", "--rpc", two.week.url, "--without-chain"), ("--without-chain",)):
        said = attest("cosign", two.package, *words, "--json")
        assert (said.code, said.document["code"]) == (EXIT_USAGE, "usage"), words
    assert attest("cosign", two.folder / "none", "--check", "--without-chain", "--json").code == EXIT_USAGE
    assert two.cosign().code == EXIT_DONE
    assert two.cosign().code == EXIT_USAGE  # the signature is there already


def test_cosign__key_that_the_issuer_did_not_pin__signs_nothing(two: Two) -> None:
    (two.folder / "attestor.json").unlink()
    stranger = generate_keystore(two.folder / "attestor.json", PASSWORD, n=1024).address
    two.address = stranger
    said = two.cosign("--without-chain", "--json")
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "unknown-attestor")
    assert not (two.folder / "signature.json").exists()


def test_cosign__statement_that_is_published__can_be_checked_and_not_signed(two: Two, gpg: Gpg) -> None:
    assert two.cosign().code == EXIT_DONE
    assert two.run("--cosignature", two.folder / "signature.json").code == EXIT_DONE
    out = two.folder / "later.gpg"
    packed = attest("audit-package", "--auditor", "firm", "--out", out, "--config", two.week.config_path)
    assert packed.code == EXIT_DONE
    later = unpacked(gpg, out, two.folder / "later")
    assert attest("cosign", later, "--check", "--rpc", two.week.url).code == EXIT_DONE
    said = two.cosign("--without-chain", "--json", package=later, out="second.json")
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "already-signed")


@pytest.mark.parametrize("order", ["revise", "revoke"])
def test_cosign__what_replaces_a_published_statement__is_decided_again_too(two: Two, gpg: Gpg, order: str) -> None:
    assert two.cosign().code == EXIT_DONE
    assert two.run("--cosignature", two.folder / "signature.json").code == EXIT_DONE
    config = ("--config", two.week.config_path)
    reason = ("--reason", "a custodian sent a corrected statement")
    waiting = attest(order, "--period", "2026-W47", *reason, *config, "--json")
    assert (waiting.code, waiting.document["code"]) == (EXIT_USAGE, "signatures-missing"), waiting.everything

    out = two.folder / "next.gpg"
    packed = attest("audit-package", "--auditor", "firm", "--out", out, *config, "--json")
    assert packed.code == EXIT_DONE, packed.everything
    assert packed.document["revision"] == 1
    package = unpacked(gpg, out, two.folder / "next")
    assert (package / "quorum.txt").exists() == (order == "revise")
    said = two.cosign(package=package, out="next.json")
    assert said.code == EXIT_DONE, said.everything
    ended = two.run("--cosignature", two.folder / "next.json")

    assert ended.code == (EXIT_DONE if order == "revise" else EXIT_SOURCE), ended.everything
    assert "signed by 2 of 2 attestors" in ended.everything
    assert (two.week.folder / "public/attestations/2026-W47.1/manifest.dsse.json").exists()
    first = attest("audit-package", "--auditor", "firm", "--revision", "0", "--out", two.folder / "first.gpg", *config)
    assert first.code == EXIT_DONE, first.everything


# -- the operator's side ---------------------------------------------------------------------------------------------


def test_cosignature__that_is_none__is_refused_and_not_stored(two: Two) -> None:
    assert two.cosign("--without-chain").code == EXIT_DONE
    path = two.folder / "signature.json"
    good = json.loads(path.read_text())
    before = two.week.stored()
    sig = base64.b64decode(good["sig"])
    other = generate_keystore(two.folder / "other.json", PASSWORD, n=1024)
    strange = {"public_key": dsse.spki_pem(other.public_key), "keyid": dsse.keyid_of(dsse.spki_der(other.public_key))}
    for changed, code, exit_code in (
        ({"sig": base64.b64encode(sig[:-1] + bytes([sig[-1] ^ 1])).decode()}, "cosignature-invalid", EXIT_VERIFICATION),
        ({"made_from": {"payload": "0" * 64}}, "cosignature-invalid", EXIT_VERIFICATION),
        ({"keyid": "0" * 64}, "cosignature-invalid", EXIT_VERIFICATION),
        ({"sig": "no base64"}, "cosignature-invalid", EXIT_VERIFICATION),
        (strange, "unknown-attestor", EXIT_USAGE),
        ({"more": 1}, "malformed-record", EXIT_VERIFICATION),
    ):
        path.write_text(json.dumps(good | changed))
        said = two.run("--cosignature", path, "--json")
        assert (said.code, said.document["code"]) == (exit_code, code), changed
        assert two.week.stored() == before
    assert two.run("--cosignature", two.folder / "none.json", "--json").document["code"] == "file-unusable"


def test_cosignature__before_there_is_a_statement__is_refused(audited: Week, tmp_path: Path) -> None:
    (tmp_path / "signature.json").write_text("{}")
    said = attest("run", "--config", audited.config_path, "--cosignature", tmp_path / "signature.json", "--json")
    assert (said.code, said.document["code"]) == (EXIT_USAGE, "nothing-to-sign")


def test_doctor__attestor_held_elsewhere__is_not_opened(two: Two) -> None:
    said = attest("doctor", "--config", two.week.config_path, "--json")
    assert said.code == EXIT_DONE, said.everything
    assert two.address not in said.out
    listed = attest("keys", "list", "--config", two.week.config_path)
    assert listed.code == EXIT_DONE
    assert two.address not in listed.out
