"""The package that docs/custody/extending.md shows, installed and used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import attest_process

PAGE = Path(__file__).parents[3] / "docs/custody/extending.md"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that finds the package beside attest."""
    folder = tmp_path_factory.mktemp("acme")
    blocks = dict(re.findall(r"```(toml|python)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL))
    assert sum(block.count("\n") for block in blocks.values()) < 40
    (folder / "package").mkdir()
    (folder / "package/pyproject.toml").write_text(blocks["toml"], encoding="utf-8")
    (folder / "package/attest_acme.py").write_text(blocks["python"], encoding="utf-8")
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation", "--python", sys.executable,
         "--target", folder / "site", folder / "package"],
        check=True, timeout=120,
    )  # fmt: skip
    return {"PYTHONPATH": os.pathsep.join([str(folder / "site"), os.environ.get("PYTHONPATH", "")])}


def test_installed_format__is_listed_and_reads(installed: dict[str, str], tmp_path: Path) -> None:
    listed = attest_process("custody", "formats", environment=installed)
    assert "ACME's own statements" in listed.out
    statement = tmp_path / "acme.txt"
    statement.write_text("ACME;1234;USD;-1000.00;2026-11-20\n")
    said = attest_process("custody", "read", statement, "--format", "acme", "--json", environment=installed)
    assert said.code == 0, said.everything
    (balance,) = said.document
    assert (balance["account"], balance["minor_units"], balance["as_of"]) == (
        "1234", "-100000", "2026-11-20T23:59:59Z",
    )  # fmt: skip


def test_installed_format__file_that_it_refuses__is_refused_as_any_other(
    installed: dict[str, str], tmp_path: Path
) -> None:
    statement = tmp_path / "acme.txt"
    statement.write_text("something else")
    said = attest_process("custody", "read", statement, "--format", "acme", "--json", environment=installed)
    assert (said.code, said.document["code"]) == (3, "malformed-acme")


def test_installed_format__mistake_in_it__is_its_source_s_failure(installed: dict[str, str], tmp_path: Path) -> None:
    statement = tmp_path / "acme.txt"
    statement.write_text("ACME;1234;USD;1.00;2026-02-30")
    said = attest_process("custody", "read", statement, "--format", "acme", "--json", environment=installed)
    assert (said.code, said.document["code"]) == (3, "format-failed")


def test_format_that_is_not_installed__is_refused_with_those_that_are(tmp_path: Path) -> None:
    said = attest_process("custody", "read", tmp_path / "x", "--format", "acme", "--json")
    assert (said.code, said.document["code"]) == (2, "unknown-format")
