"""A bundle in a zip: the plainest is read, everything else is refused in bounded memory."""

from __future__ import annotations

import io
import stat
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from attest.errors import OperatorError, VerificationError
from attest.verify.bundle import MAX_BUNDLE_BYTES
from attest.verify.places import folder_url, log_beside, open_bundle
from attest.verify.report import exit_code
from attest.verify.verifier import verify_bundle
from tests.support import bundles

Fill = Callable[[zipfile.ZipFile], object]


def zipped(path: Path, top: str = "", fill: Fill = lambda archive: None, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """The unchanged bundle in a zip, and what ``fill`` adds."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
        warnings.simplefilter("ignore")  # a name that is there twice
        for name, data in bundles.standard_files().items():
            archive.writestr(top + name, data)
        fill(archive)
    return path


def entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize("top", ["", "2026-W47/"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_open_bundle__plain_zip__is_the_folders_files(tmp_path: Path, top: str, method: int) -> None:
    path = zipped(tmp_path / "bundle.zip", top, method=method)

    assert open_bundle(path) == bundles.standard_files()


def test_open_bundle__zip_with_an_entry_for_its_folder__is_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "b.zip", "x/", lambda archive: archive.writestr(entry("x/", stat.S_IFDIR | 0o755), b""))

    assert open_bundle(path) == bundles.standard_files()


def test_verify_bundle__zip__verifies_as_its_folder_does(tmp_path: Path) -> None:
    folder = bundles.write(bundles.standard_files(), tmp_path / "bundle")
    reports = [
        verify_bundle(place, bundles.trust(), now=bundles.NOW) for place in (folder, zipped(tmp_path / "bundle.zip"))
    ]

    assert reports[0] == reports[1]
    assert exit_code(reports[1]) == 0


REFUSED: dict[str, tuple[Fill, str]] = {
    "absolute path": (lambda a: a.writestr("/etc/passwd", b""), "its only folder"),
    "path upwards": (lambda a: a.writestr("../x", b""), "its only folder"),
    "path upwards and back": (lambda a: a.writestr("a/../../x", b""), "its only folder"),
    "folder of itself": (lambda a: a.writestr("./x", b""), "its only folder"),
    "backslashes": (lambda a: a.writestr("..\\x\\y", b""), "no name of a bundle's file"),
    "folder within": (lambda a: a.writestr("a/b/c.json", b""), "its only folder"),
    "folder beside": (lambda a: a.writestr("__MACOSX/x", b""), "several folders"),
    "odd name": (lambda a: a.writestr(".hidden", b""), "no name of a bundle's file"),
    "escape in a name": (lambda a: a.writestr("\x1b[2J", b""), "no name of a bundle's file"),
    "name twice": (lambda a: a.writestr("reserves.json", b"{}"), "twice"),
    "link": (lambda a: a.writestr(entry("x", stat.S_IFLNK | 0o777), b"/etc/passwd"), "not a plain file"),
    "device": (lambda a: a.writestr(entry("x", stat.S_IFCHR), b""), "not a plain file"),
    "too many": (lambda a: [a.writestr(f"f{n}", b"") for n in range(65)], "more than 64 files"),
    "unusual compression": (lambda a: a.writestr("x", b"x", zipfile.ZIP_LZMA), "unusual way"),
    "envelope too large": (lambda a: a.writestr("manifest.dsse.json2", b" "), "not listed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_verify_bundle__hostile_zip__fails_files_and_says_why(tmp_path: Path, name: str) -> None:
    fill, said = REFUSED[name]
    path = zipped(tmp_path / "bundle.zip", fill=fill)

    report = verify_bundle(path, bundles.trust(), now=bundles.NOW)

    assert exit_code(report) == 6
    assert bundles.failed(report)[0] == "files"
    assert said in bundles.detail(report, "files")


def test_open_bundle__bomb__is_not_inflated(tmp_path: Path) -> None:
    path = zipped(tmp_path / "b.zip", fill=lambda a: a.writestr("bomb.bin", bytes(65 << 20)))
    tracemalloc.start()
    try:
        with pytest.raises(VerificationError, match="more than 67108864 bytes"):
            open_bundle(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_open_bundle__bomb_that_lies_about_its_size__is_cut_at_what_it_says(tmp_path: Path) -> None:
    path = zipped(tmp_path / "b.zip", fill=lambda a: a.writestr("bomb.bin", bytes(60 << 20)))

    def lie(data: bytearray) -> None:
        for header, size in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
            place = data.rindex(header) + size
            assert data[place : place + 4] == struct.pack("<L", 60 << 20)
            data[place : place + 4] = struct.pack("<L", 10)

    changed(path, lie)
    tracemalloc.start()
    try:
        with pytest.raises(VerificationError, match="cannot be read"):
            open_bundle(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_open_bundle__several_files_large_together__refused(tmp_path: Path) -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        for number in range(3):
            archive.writestr(f"large{number}.bin", bytes(60 << 20))

    with pytest.raises(VerificationError, match=r"'large2.bin' has more than"):
        open_bundle(zipped(tmp_path / "b.zip", fill=fill))


def changed(path: Path, change: Callable[[bytearray], None]) -> Path:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def encrypt(data: bytearray) -> None:
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(signature) + offset
        data[place] |= 1


def test_open_bundle__encrypted_entry__refused(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="is encrypted"):
        open_bundle(changed(zipped(tmp_path / "b.zip"), encrypt))


def test_open_bundle__comment__refused(tmp_path: Path) -> None:
    def fill(archive: zipfile.ZipFile) -> None:
        archive.comment = b"made by an archiver"

    with pytest.raises(VerificationError, match="a comment after it is refused"):
        open_bundle(zipped(tmp_path / "b.zip", fill=fill))


def test_open_bundle__zip64__refused(tmp_path: Path) -> None:
    def zip64(data: bytearray) -> None:
        data[-22:-22] = struct.pack("<4sLQL", b"PK\x06\x07", 0, 0, 1)

    with pytest.raises(VerificationError, match="zip64"):
        open_bundle(changed(zipped(tmp_path / "b.zip"), zip64))


def test_open_bundle__directory_of_a_hundred_thousand_entries__refused_unparsed(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(2_000):
            archive.writestr(f"f{number}", b"")
    data = bytearray(buffer.getvalue())
    data[-14:-10] = struct.pack("<HH", 5, 5)  # it says that it has five
    (tmp_path / "b.zip").write_bytes(data)

    with pytest.raises(VerificationError, match="more than 64 files"):
        open_bundle(tmp_path / "b.zip")


@pytest.mark.parametrize("size", [0, 1, 21, 22, 100, 5_000])
def test_open_bundle__file_that_is_no_zip__refused(tmp_path: Path, size: int) -> None:
    (tmp_path / "b.zip").write_bytes(b"P" * size)

    with pytest.raises(VerificationError, match="neither a folder nor a zip"):
        open_bundle(tmp_path / "b.zip")


def test_open_bundle__huge_file__refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "b.zip").open("wb") as file:
        file.truncate(MAX_BUNDLE_BYTES + 1)

    with pytest.raises(VerificationError, match="the zip has more than"):
        open_bundle(tmp_path / "b.zip")


def test_open_bundle__zip_cut_or_flipped_anywhere__never_another_bundle_nor_another_error(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "whole.zip").read_bytes()
    path = tmp_path / "b.zip"
    variants = [whole[:end] for end in range(0, len(whole), len(whole) // 50)]
    for place in [*range(0, 200), *range(len(whole) - 600, len(whole)), *range(200, len(whole) - 600, 199)]:
        variants.append(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    for variant in variants:
        path.write_bytes(variant)
        try:
            files = open_bundle(path)
        except VerificationError:
            continue
        assert {name: data for name, data in files.items() if name in bundles.standard_files()}.items() <= (
            bundles.standard_files().items()
        )


def test_open_bundle__nothing_there__is_the_auditors_fault(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="cannot be read"):
        open_bundle(tmp_path / "none.zip")


# -- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "/", "/manifest.json", "//"])
def test_folder_url__as_people_paste_it__is_the_folder(end: str) -> None:
    assert folder_url("https://a.example/attestations/2026-W47" + end) == "https://a.example/attestations/2026-W47"


@pytest.mark.parametrize(
    ("url", "log"),
    [
        ("https://a.example/attestations/2026-W47/manifest.json", "https://a.example/log"),
        ("https://a.example/public/attestations/2026-W47.1/", "https://a.example/public/log"),
        ("https://a.example/2026-W47", None),
        ("https://attestations/2026-W47", None),
        ("https://a.example/attestations/x/2026-W47", None),
    ],
)
def test_log_beside__address__is_the_stores_log(url: str, log: str | None) -> None:
    assert log_beside(url) == log


def test_log_beside__folder__only_in_a_public_store(tmp_path: Path) -> None:
    bundle = tmp_path / "public" / "attestations" / "2026-W47"
    bundle.mkdir(parents=True)
    assert log_beside(bundle) is None
    (tmp_path / "public" / "log").mkdir()
    assert log_beside(bundle) == str((tmp_path / "public" / "log").resolve())
    assert log_beside(tmp_path / "public") is None
