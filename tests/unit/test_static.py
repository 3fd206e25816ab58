"""Public files from a folder: plain files only, none from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from attest.errors import OperatorError, VerificationError
from attest.static import files_below, folder_files, http_files


def test_folder_files__present_and_absent__bytes_and_none(tmp_path: Path) -> None:
    (tmp_path / "tile" / "0").mkdir(parents=True)
    (tmp_path / "tile" / "0" / "000").write_bytes(b"x")
    read = files_below(str(tmp_path))

    assert read("tile/0/000") == b"x"
    assert read("tile/0/001") is None
    assert read("tile/0/000/1") is None


def test_folder_files__link_or_folder__refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "checkpoint").symlink_to(tmp_path / "secret")
    read = folder_files(tmp_path / "log")

    with pytest.raises(VerificationError, match="is a link"):
        read("checkpoint")
    with pytest.raises(VerificationError, match="not a plain file"):
        folder_files(tmp_path)("log")


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a//b", "./a", ""])
def test_folder_files__path_that_leaves_the_folder__is_no_path(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="leaves its folder"):
        folder_files(tmp_path)(path)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://issuer.example/x",
        "file:///etc",
        "http:///x",
        "https://a.example/?q=1",
        "http://[x",
        "http://a.example:99999",
    ],
)
def test_http_files__another_kind_of_address__refused(url: str) -> None:
    with pytest.raises(OperatorError, match="not an http or https address"):
        http_files(url)
