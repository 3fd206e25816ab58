"""RFC 3161 time stamps over a checkpoint: made by openssl, verified here and there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from attest.errors import SourceError, VerificationError
from attest.log.checkpoint import open_checkpoint
from attest.log.proof import parse_log_proof
from attest.log.timestamp import Stamp, request_stamp, verify_stamp
from attest.verify import timestamp
from attest.verify.report import CheckResult
from attest.verify.trust import Trust
from tests.support import bundles
from tests.support.tsa import Authority

pytestmark = pytest.mark.requires("openssl", "apt-get install openssl")

#: A rehearsal: its cutoff may lie on any side of this machine's clock, with which openssl stamps.
REHEARSAL = bundles.Forge(alter_predicate=lambda predicate: replace(predicate, clock="pinned"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("other"))


def files_of(forge: bundles.Forge) -> dict[str, bytes]:
    files = dict(forge.files())
    del files["chain-proof.json"]
    return files


def text_of(files: dict[str, bytes]) -> str:
    proof = parse_log_proof(files["attestation.tlog-proof"])
    return open_checkpoint(proof.checkpoint, bundles.trust().log.key).note.text


def judged(files: dict[str, bytes], trust: Trust, now: datetime | None = None) -> Any:
    whole = {name: data for name, data in files.items() if name != "manifest.json"}
    whole["manifest.json"] = bundles.manifest(whole)
    return bundles.judged(whole, trust, now=now or datetime.now(UTC))


def check(files: dict[str, bytes], *roots: str, now: datetime | None = None) -> CheckResult:
    report = judged(files, replace(bundles.trust(), timestamp_authorities=roots), now)
    return next(check for check in report.checks if check.name == "timestamp")


# -- the stamp itself ------------------------------------------------------------------------------------------------


def test_stamp__asked_for_here__is_one_to_openssl_too(authority: Authority) -> None:
    answer, stamp = request_stamp(lambda body: (200, authority.answer(body)), "a\n1\nb\n", [authority.root], "it")
    assert stamp.authority == "CN=Test-TSA"
    assert abs(stamp.time - datetime.now(UTC)) < timedelta(minutes=1)
    assert authority.verifies(b"a\n1\nb\n", answer)
    assert not authority.verifies(b"a\n2\nb\n", answer)


def test_stamp__answer_to_another_query__is_refused(authority: Authority) -> None:
    old = authority.stamp("a\n1\nb\n")
    with pytest.raises(VerificationError, match="Nonce mismatch"):
        request_stamp(lambda body: (200, old), "a\n1\nb\n", [authority.root], "it")


def test_stamp__authority_answers_another_status__is_unavailable(authority: Authority) -> None:
    with pytest.raises(SourceError, match="status 503"):
        request_stamp(lambda body: (503, b""), "a\n1\nb\n", [authority.root], "it")


@pytest.mark.parametrize("data", [b"", b"x", b"\x30\x00", b"\x30\x05\x30\x03\x02\x01\x02", bytes(70_000)])
def test_stamp__something_else__is_refused(authority: Authority, data: bytes) -> None:
    with pytest.raises(VerificationError, match="the time stamp: "):
        verify_stamp(data, "a\n1\nb\n", [authority.root])


def test_stamp__any_byte_flipped__is_refused_or_says_the_same(authority: Authority) -> None:
    """Few bytes of a response are not signed (the name of an algorithm); none of them changes what it says."""
    data = authority.stamp("a\n1\nb\n")
    said, same = verify_stamp(data, "a\n1\nb\n", [authority.root]), 0
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1
        try:
            assert verify_stamp(bytes(flipped), "a\n1\nb\n", [authority.root]) == said
            same += 1
        except VerificationError:
            pass
    assert same < 20


# -- the check -------------------------------------------------------------------------------------------------------


def test_verify__stamped_checkpoint__passes_with_time_and_authority(authority: Authority) -> None:
    files = files_of(REHEARSAL)
    found = check(files | {"checkpoint.tsr": authority.stamp(text_of(files))}, authority.root)
    assert found.outcome == "pass"
    assert "stamped at" in found.detail
    assert "by CN=Test-TSA" in found.detail


def test_verify__one_of_several_authorities_stamped__passes(authority: Authority, other: Authority) -> None:
    files = files_of(REHEARSAL)
    stamped = files | {"checkpoint.tsr": authority.stamp(text_of(files))}
    assert check(stamped, other.root, authority.root).outcome == "pass"
    assert check(stamped, other.root + authority.root).outcome == "pass"


def test_verify__stamp_over_another_text__fails(authority: Authority) -> None:
    files = files_of(REHEARSAL)
    for text in (text_of(files) + "\n", text_of(files).replace("example.com", "example.org")):
        found = check(files | {"checkpoint.tsr": authority.stamp(text)}, authority.root)
        assert found.outcome == "fail"
        assert "Mismatch" in found.detail


def test_verify__stamp_by_an_authority_that_is_not_trusted__fails(authority: Authority, other: Authority) -> None:
    files = files_of(REHEARSAL)
    stamped = files | {"checkpoint.tsr": other.stamp(text_of(files))}
    found = check(stamped, authority.root)
    assert found.outcome == "fail"
    assert "does not verify under your authorities" in found.detail


def test_verify__signing_certificate_given_as_the_root__is_not_enough_for_another_signer(
    authority: Authority, other: Authority
) -> None:
    files = files_of(REHEARSAL)
    tsa = (other.folder / "tsa.pem").read_text()
    assert check(files | {"checkpoint.tsr": authority.stamp(text_of(files))}, tsa).outcome == "fail"


def test_verify__no_stamp_or_no_authority__is_skipped_in_words(authority: Authority) -> None:
    files = files_of(REHEARSAL)
    found = check(files, authority.root)
    assert (found.outcome, found.required) == ("skipped", False)
    assert "no time stamp" in found.detail
    found = check(files | {"checkpoint.tsr": authority.stamp(text_of(files))})
    assert found.outcome == "skipped"
    assert "names no time-stamping authority" in found.detail


def test_verify__demanded__is_met_by_a_stamp_and_not_by_its_absence(authority: Authority) -> None:
    files = files_of(REHEARSAL)
    trust = replace(bundles.trust(), demands=("timestamp",), timestamp_authorities=(authority.root,))
    assert judged(files, trust).unmet == ("timestamp",)
    assert judged(files | {"checkpoint.tsr": authority.stamp(text_of(files))}, trust).unmet == ()


@pytest.mark.parametrize(
    ("time", "outcome", "word"),
    [
        (bundles.CUTOFF - timedelta(seconds=1), "fail", "before the cutoff"),
        (bundles.CUTOFF, "pass", "stamped at"),
        (bundles.NOW + timedelta(minutes=5), "pass", "stamped at"),
        (bundles.NOW + timedelta(minutes=5, seconds=1), "fail", "in the future"),
    ],
)
def test_verify__time_of_the_stamp__lies_between_cutoff_and_now(
    monkeypatch: pytest.MonkeyPatch, authority: Authority, time: datetime, outcome: str, word: str
) -> None:
    """openssl stamps with this machine's clock only: the time is set after its verification."""
    monkeypatch.setattr(timestamp, "verify_stamp", lambda *_: Stamp(time, "CN=Test-TSA"))
    found = check(files_of(bundles.Forge()) | {"checkpoint.tsr": b"x"}, authority.root, now=bundles.NOW)
    assert found.outcome == outcome
    assert word in found.detail


def test_verify__library_is_missing__is_skipped_with_the_install(
    monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    files = files_of(REHEARSAL) | {"checkpoint.tsr": b"x"}
    report = judged(files, replace(bundles.trust(), timestamp_authorities=(authority.root,)))
    found = next(check for check in report.checks if check.name == "timestamp")
    assert found.outcome == "skipped"
    assert found.advice == "pip install 'reserve-attest[timestamp]'"


# -- the trust file --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pem", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_trust__authority_that_is_no_certificate__is_refused(pem: str) -> None:
    with pytest.raises(ValueError, match="timestamp_authorities is not a certificate in PEM"):
        replace(bundles.trust(), timestamp_authorities=(pem,))


def test_trust__one_authority_twice__is_refused(authority: Authority) -> None:
    with pytest.raises(ValueError, match="lists the same thing twice"):
        replace(bundles.trust(), timestamp_authorities=(authority.root, authority.root))
