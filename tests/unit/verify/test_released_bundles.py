"""Bundles made by released versions: kept byte for byte, and verified as on the day when they were kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from attest.records import parse_instant
from attest.verify.inclusion import verify_proof
from attest.verify.report import exit_code
from attest.verify.trust import load_trust
from attest.verify.verifier import verify_bundle
from tests.vectors import keep_release
from tests.vectors.released import bundles, digests, expected, releases, said

RELEASES = releases()


def test_releases__kept__are_there() -> None:
    assert "0.1.0-a" in {release.name for release in RELEASES}


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_release__its_files__are_unchanged(release: Path) -> None:
    assert digests(release) == expected(release)["files"]


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_release__by_the_commands__says_what_it_said(release: Path) -> None:
    kept = expected(release)
    now = said(release, kept["at"])

    proven = kept["verify-proof"]
    assert set(proven["passed"]) <= set(now["verify-proof"]["passed"])
    assert now["verify-proof"] | {"passed": proven["passed"]} == proven
    assert now["verify"].keys() == kept["verify"].keys()
    for name, before in kept["verify"].items():
        after = now["verify"][name]
        # A later version may check more; what passed still passes.
        assert set(before["passed"]) <= set(after["passed"])
        assert after | {"passed": before["passed"]} == before


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_release__by_the_functions__verifies(release: Path) -> None:
    kept = expected(release)
    now = parse_instant(kept["at"])
    for bundle in bundles(release):
        report = verify_bundle(bundle, load_trust(release / "trust.json", bundle), now=now)
        assert exit_code(report) == kept["verify"][bundle.name]["exit_code"]
        assert report.statement == kept["verify"][bundle.name]["statement"]

    statement = release / "public" / "attestations" / kept["verify-proof"]["statement"]
    found = verify_proof(release / "proof.json", statement, load_trust(release / "trust.json", statement), now=now)
    assert found.leaf is not None


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_release__one_byte_changed__is_noticed(release: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(release, tmp_path / "release"))
    reserves = next((copy / "public" / "attestations").glob("*/reserves.json"))
    reserves.write_bytes(reserves.read_bytes().replace(b'"', b"'", 1))

    assert digests(copy) != expected(release)["files"]
    assert said_exit_codes(copy, expected(release)["at"]) != said_exit_codes(release, expected(release)["at"])


def said_exit_codes(release: Path, at: str) -> dict[str, int]:
    now = parse_instant(at)
    return {
        bundle.name: exit_code(verify_bundle(bundle, load_trust(release / "trust.json", bundle), now=now))
        for bundle in bundles(release)
    }


def test_keep_release__again_and_twice__is_the_same_and_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = RELEASES[0]
    monkeypatch.setattr(keep_release, "FOLDER", tmp_path)
    sources = (release / "public", release / "trust.json", release / "proof.json", expected(release)["at"])

    again = keep_release.keep("again", *sources)

    assert digests(again) == digests(release)
    kept = expected(again)
    asked = dict.fromkeys(["verify", "verify-proof"])  # what a later version says is compared above
    assert {**kept, "version": release.name, **asked} == {**expected(release), **asked}
    with pytest.raises(FileExistsError):
        keep_release.keep("again", *sources)
