"""The auditor's side works from the core install: what it must never import, it does not, even inside functions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from attest.records import to_json
from tests.support import bundles

FORBIDDEN = ("web3", "boto3", "pymerkle", "obstore", "pydantic", "eth_account", "iso4217", "httpx2", "rich", "jinja2")
CHAIN_PROOF = ("trie", "rlp", "eth_hash")

HOOK = """
import sys

class Forbidden:
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top in {tops!r} or name in ("attest.custody", "attest.chain", "attest.config", "attest.store"):
            print("FORBIDDEN", name, file=sys.stderr)
            raise ModuleNotFoundError(name, name=name)
        return None

sys.meta_path.insert(0, Forbidden())
from attest.cli.main import main
main(sys.argv[1:])
"""


def attest(forbidden: tuple[str, ...], *arguments: str) -> subprocess.CompletedProcess[str]:
    hook = HOOK.replace("{tops!r}", repr(set(forbidden)))
    return subprocess.run([sys.executable, "-c", hook, *arguments], capture_output=True, text=True, timeout=120)


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    forge = bundles.Forge()
    forge.write(tmp_path / "bundle")
    (tmp_path / "trust.json").write_bytes(to_json(bundles.trust()))
    (tmp_path / "proof.json").write_bytes(to_json(forge.inclusion_proof(0)))
    return tmp_path


def verify(desk: Path, forbidden: tuple[str, ...], *more: str) -> subprocess.CompletedProcess[str]:
    return attest(
        forbidden,
        "verify",
        str(desk / "bundle"),
        "--trust",
        str(desk / "trust.json"),
        "--at",
        "2026-11-24T08:00:00Z",
        *more,
    )


def test_verify__whole_command__imports_none_of_the_operators_libraries(desk: Path) -> None:
    # The library rlp itself looks for pydantic; this package does not (see the other tests).
    done = verify(desk, tuple(name for name in FORBIDDEN if name != "pydantic"))

    assert "FORBIDDEN" not in done.stderr
    assert done.returncode == 0, done.stderr
    assert "chain-proof: proven" in done.stdout


def test_verify__core_install__skips_only_the_chain_proof_and_says_how_to_get_it(desk: Path) -> None:
    done = verify(desk, FORBIDDEN + CHAIN_PROOF)

    assert done.returncode == 6  # the trust file demands the chain
    assert "pip install 'reserve-attest[chain-proof]'" in " ".join(done.stdout.split())
    assert "your trust file demands 'chain'" in done.stdout


def test_verify__core_install_with_an_endpoint__imports_nothing_more(desk: Path) -> None:
    done = verify(desk, FORBIDDEN + CHAIN_PROOF, "--rpc", "http://127.0.0.1:9")

    assert "FORBIDDEN" not in done.stderr.replace("FORBIDDEN eth_hash", "").replace("FORBIDDEN rlp", "")
    assert done.returncode == 6
    assert "your endpoint does not answer" in done.stdout


def test_verify_proof__core_install__works(desk: Path) -> None:
    done = attest(
        FORBIDDEN + CHAIN_PROOF,
        "verify-proof",
        str(desk / "proof.json"),
        "--statement",
        str(desk / "bundle"),
        "--trust",
        str(desk / "trust.json"),
        "--at",
        "2026-11-24T08:00:00Z",
    )

    assert "FORBIDDEN" not in done.stderr
    assert done.returncode == 0, done.stderr
