"""A bundle's folder is a stranger's: links, surprises and sizes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from attest.documents import Manifest, ManifestFile
from attest.errors import VerificationError
from attest.records import to_json
from attest.verify.bundle import check_manifest, read_bundle, read_file
from attest.verify.report import exit_code
from attest.verify.verifier import verify_bundle
from tests.support import bundles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bundles.write(bundles.standard_files(), tmp_path / "bundle")


def test_read_bundle__as_written__is_read_and_listed(folder: Path) -> None:
    files = read_bundle(folder)

    assert files == bundles.standard_files()
    assert len(check_manifest(files).files) == 5


def test_read_bundle__link_to_a_file__refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (folder / "extra.json").symlink_to(tmp_path / "secret")

    with pytest.raises(VerificationError, match=r"'extra\.json' is not a plain file"):
        read_bundle(folder)


def test_read_bundle__folder_inside__refused(folder: Path) -> None:
    (folder / "more").mkdir()

    with pytest.raises(VerificationError, match="'more' is not a plain file"):
        read_bundle(folder)


def test_read_bundle__pipe_inside__refused_without_waiting(folder: Path) -> None:
    os.mkfifo(folder / "pipe")

    with pytest.raises(VerificationError, match="'pipe' is not a plain file"):
        read_bundle(folder)


@pytest.mark.parametrize("name", [".hidden", "a b", "x" * 129, "\x1b[31m", "-rf"])
def test_read_bundle__odd_name__refused(folder: Path, name: str) -> None:
    (folder / name).write_text("x")

    with pytest.raises(VerificationError, match="no name of a bundle's file"):
        read_bundle(folder)


def test_read_bundle__too_many_entries__refused(folder: Path) -> None:
    for number in range(60):
        (folder / f"f{number}").touch()

    with pytest.raises(VerificationError, match="more than 64 entries"):
        read_bundle(folder)


def test_read_bundle__envelope_larger_than_a_log_entry__refused(folder: Path) -> None:
    (folder / "attestation.dsse.json").write_bytes(b" " * 65_536)

    with pytest.raises(VerificationError, match="more than 65535 bytes"):
        read_bundle(folder)


def test_read_file__missing__refused(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="cannot be read"):
        read_file(tmp_path / "none", 10)


def listing(*entries: ManifestFile) -> bytes:
    return to_json(Manifest("attest-manifest/2", bundles.PERIOD, 0, entries))


def standard_entries() -> list[ManifestFile]:
    """What the unchanged bundle's manifest lists."""
    return list(check_manifest(bundles.standard_files()).files)


def test_check_manifest__required_file_missing__named() -> None:
    files = {name: data for name, data in bundles.standard_files().items() if name != "receipts.json"}

    with pytest.raises(VerificationError, match=r"receipts\.json missing"):
        check_manifest(files)


def test_check_manifest__listed_file_missing__named() -> None:
    files = dict(bundles.standard_files())
    del files["chain-proof.json"]

    with pytest.raises(VerificationError, match=r"chain-proof\.json is listed in manifest\.json but missing"):
        check_manifest(files)


def test_check_manifest__file_not_listed__named() -> None:
    with pytest.raises(VerificationError, match=r"trust\.json is not listed"):
        check_manifest({**bundles.standard_files(), "trust.json": b"{}"})


def test_check_manifest__file_changed__named() -> None:
    with pytest.raises(VerificationError, match=r"reserves\.json is not the file"):
        check_manifest({**bundles.standard_files(), "reserves.json": b"{}"})


def test_check_manifest__wrong_size__named() -> None:
    files = dict(bundles.standard_files())
    files["manifest.json"] = listing(
        *(replace(entry, size=entry.size + (entry.name == "reserves.json")) for entry in standard_entries())
    )

    with pytest.raises(VerificationError, match=r"reserves\.json is not the file"):
        check_manifest(files)


def test_check_manifest__file_listed_twice_or_itself__refused() -> None:
    files = dict(bundles.standard_files())
    entries = standard_entries()
    itself = ManifestFile("manifest.json", "00" * 32, 1)
    for extra in (entries[0], itself, replace(itself, name="manifest.dsse.json")):
        files["manifest.json"] = listing(*entries, extra)

        with pytest.raises(VerificationError, match="twice, or itself"):
            check_manifest(files)


@pytest.mark.parametrize("name", ["../outside.json", "/etc/passwd", "a/b", "..", ""])
def test_check_manifest__path_in_a_name__refused(name: str) -> None:
    files = dict(bundles.standard_files())
    files["manifest.json"] = listing(*standard_entries(), ManifestFile(name, "00" * 32, 1))

    with pytest.raises(VerificationError, match="no name of a bundle's file"):
        check_manifest(files)


def test_verify_bundle__refused_folder__fails_files_and_skips_the_rest(folder: Path) -> None:
    (folder / "more").mkdir()

    report = verify_bundle(folder, bundles.trust(), now=bundles.NOW)

    assert bundles.failed(report) == ["files"]
    assert {check.outcome for check in report.checks[1:]} == {"skipped"}
    assert report.tokens == ()
    assert exit_code(report) == 6
