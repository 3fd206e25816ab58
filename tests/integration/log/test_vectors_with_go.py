"""Go's golang.org/x/mod (sumdb/note, sumdb/tlog) runs the published vectors: an implementation apart from this one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.vectors.vector import FOLDER, load_all

pytestmark = pytest.mark.requires("go", "apt-get install golang-go golang-golang-x-mod-dev")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, built against Debian's packaged sources."""
    binary = tmp_path_factory.mktemp("go") / "verify_vectors"
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",
        "GOFLAGS": "",
        "GOCACHE": str(binary.parent / "cache"),
    }
    source = Path(__file__).with_name("verify_vectors.go")
    subprocess.run(["go", "build", "-o", str(binary), str(source)], env=environment, check=True, timeout=300)
    return binary


@pytest.mark.parametrize(
    ("kind", "least"), [("inclusion", 60), ("consistency", 35), ("note", 40), ("checkpoint", 50), ("log-proof", 30)]
)
def test_go__vectors_of_a_kind__come_out_as_expected(program: Path, kind: str, least: int) -> None:
    vectors = load_all(kind)
    paths = [str(FOLDER / vector.path) for vector in vectors]
    ended = subprocess.run([str(program), *paths], capture_output=True, text=True, timeout=120, check=True)
    lines = [line.split(" ", 2) for line in ended.stdout.splitlines()]

    verdicts = {line[0]: line[1] for line in lines}

    wrong = [
        (vector.path, lines[number])
        for number, vector in enumerate(vectors)
        if verdicts[paths[number]] != vector.expected.get("elsewhere", {}).get("go", vector.expected["verdict"])
    ]
    assert wrong == []
    assert len(verdicts) == len(vectors) >= least
    assert set(verdicts.values()) == {"valid", "invalid"}
