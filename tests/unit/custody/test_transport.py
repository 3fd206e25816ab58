"""The file transport: every file that a location names, or a refusal that names it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from attest.custody import transport
from attest.custody.transport import Fetched, check_location, fetch
from attest.errors import OperatorError, SourceError, printable


def write(base: Path, name: str, data: bytes = b"x") -> Path:
    path = base / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def refusal(location: str, base: Path) -> SourceError:
    with pytest.raises(SourceError) as caught:
        fetch(location, base=base, period="2026-W47")
    assert caught.value.advice
    return caught.value


def test_fetch__path_with_the_period__is_that_file(tmp_path: Path) -> None:
    path = write(tmp_path, "statements/2026-W47/a.xml", b"bytes")
    assert fetch("statements/{period}/a.xml", base=tmp_path, period="2026-W47") == (Fetched(str(path), b"bytes"),)


def test_fetch__absolute_path_or_glob__does_not_depend_on_the_base(tmp_path: Path) -> None:
    path = write(tmp_path, "a.xml")
    assert fetch(str(path), base=Path("/nowhere"), period="") == (Fetched(str(path), b"x"),)
    assert fetch(f"{tmp_path}/*.xml", base=Path("/nowhere"), period="") == (Fetched(str(path), b"x"),)


def test_fetch__glob__is_every_match_sorted_by_name(tmp_path: Path) -> None:
    for name in ("b.xml", "a.xml", "c.csv", "below/d.xml", ".hidden.xml"):
        write(tmp_path, name, name.encode())
    assert [one.data for one in fetch("*.xml", base=tmp_path, period="")] == [b"a.xml", b"b.xml"]
    assert [one.data for one in fetch("**/*.xml", base=tmp_path, period="")] == [b"a.xml", b"b.xml", b"below/d.xml"]


def test_fetch__base_that_looks_like_a_glob__is_taken_literally(tmp_path: Path) -> None:
    write(tmp_path, "[x]/a.xml")
    assert len(fetch("*.xml", base=tmp_path / "[x]", period="")) == 1


@pytest.mark.parametrize("location", ["{period}.xml", "2026-*.xml", "nowhere/a.xml"])
def test_fetch__missing_file__is_refused_by_name(tmp_path: Path, location: str) -> None:
    fault = refusal(location, tmp_path)
    assert fault.code == "file-missing"
    assert location.replace("{period}", "2026-W47") in fault.message


def test_fetch__empty_file__is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.xml", b"")
    assert refusal("a.xml", tmp_path).code == "file-empty"


@pytest.mark.parametrize("location", ["folder", "fold*"])
def test_fetch__folder__is_refused(tmp_path: Path, location: str) -> None:
    (tmp_path / "folder").mkdir()
    fault = refusal(location, tmp_path)
    assert fault.code == "not-a-file"
    assert "a folder" in fault.message


def test_fetch__pipe__is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert refusal("pipe", tmp_path).code == "not-a-file"


def test_fetch__device_without_end__is_refused(tmp_path: Path) -> None:
    assert refusal("/dev/zero", tmp_path).code == "not-a-file"


@pytest.mark.parametrize("location", ["file.txt/below.xml", "x" * 300, "loop"])
def test_fetch__path_that_cannot_be_opened__is_refused(tmp_path: Path, location: str) -> None:
    write(tmp_path, "file.txt")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    fault = refusal(location, tmp_path)
    assert fault.code == "file-unreadable"
    assert location in fault.message


def test_fetch__file_that_fails_while_it_is_read__is_refused(tmp_path: Path) -> None:
    # A process's memory is a regular file whose first page cannot be read.
    fault = refusal("/proc/self/mem", tmp_path)
    assert fault.code == "file-unreadable"


def test_fetch__size_at_the_cap__is_read_and_beyond_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_BYTES", 10)
    write(tmp_path, "a.xml", b"x" * 5)
    write(tmp_path, "b.xml", b"x" * 5)
    assert len(fetch("*.xml", base=tmp_path, period="")) == 2
    write(tmp_path, "c.xml", b"x")
    assert refusal("*.xml", tmp_path).code == "file-too-large"


def test_fetch__one_file_larger_than_the_cap__is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.xml").open("wb") as file:
        file.truncate(transport.MAX_BYTES + 1)
    fault = refusal("a.xml", tmp_path)
    assert fault.code == "file-too-large"
    assert "64 MiB" in fault.message


def test_fetch__more_files_than_one_period_has__are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_FILES", 2)
    for name in "abc":
        write(tmp_path, f"{name}.xml")
    assert refusal("*.xml", tmp_path).code == "too-many-files"


@pytest.mark.parametrize("location", ["https://bank.example/x.xml", "s3://bucket/x", "SFTP://host/x", "file:///x"])
def test_fetch__another_transport__is_refused_and_the_known_one_named(tmp_path: Path, location: str) -> None:
    with pytest.raises(OperatorError) as caught:
        fetch(location, base=tmp_path, period="")
    assert caught.value.code == "unknown-transport"
    assert "file" in caught.value.advice


def test_check_location__nul_character__is_refused() -> None:
    with pytest.raises(OperatorError) as caught:
        check_location("a\0b", "accounts.a.sources.b")
    assert caught.value.code == "malformed-location"
    assert "\0" not in caught.value.message


def test_fetch__terminal_escape_in_a_file_name__is_shown_escaped(tmp_path: Path) -> None:
    write(tmp_path, "a\x1b[31m.xml")
    (one,) = fetch("*.xml", base=tmp_path, period="")
    assert one.name.endswith("a\\x1b[31m.xml")
    write(tmp_path, "b\u202e.xml", b"")
    assert "b\\u202e.xml" in refusal("b*.xml", tmp_path).message


def test_printable__text__is_kept_and_what_cannot_be_seen_escaped() -> None:
    assert printable("Größe 1") == "Größe 1"
    assert printable("a\x9bb\ud800") == "a\\x9bb\\ud800"
