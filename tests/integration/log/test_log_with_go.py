"""Go's golang.org/x/mod (sumdb/note, sumdb/tlog) verifies the log that this project wrote, from its folder alone."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from attest.errors import VerificationError
from attest.log.witness import Witness, collect_cosignature
from attest.log.writer import LogWriter
from attest.merkle.proof import verify_consistency
from attest.records import encode_base64
from attest.signing.dsse import assemble_envelope
from attest.signing.ed25519 import Ed25519Signer
from attest.store import LocalStore
from tests.support.logs import posting

pytestmark = pytest.mark.requires("go", "apt-get install golang-go golang-golang-x-mod-dev")

#: More than one full tile, so that level 1 exists.
SIZE = 260
#: Pairs of sizes, and places in them, taken by chance.
DRAWN = 300


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program, built against Debian's packaged sources."""
    binary = tmp_path_factory.mktemp("go") / "verify_log"
    source = Path(__file__).with_name("verify_log.go")
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",
        "GOFLAGS": "",
        "GOCACHE": str(binary.parent / "cache"),
    }
    subprocess.run(["go", "build", "-o", str(binary), str(source)], env=environment, check=True, timeout=300)
    return binary


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> LogWriter:
    """A log of SIZE envelopes on local disk, its newest head cosigned by a witness."""
    folder = tmp_path_factory.mktemp("store")
    signer = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32))
    log = LogWriter(LocalStore(folder), "log.example/reserves", signer)
    for n in range(SIZE):
        log.append(assemble_envelope("text/plain", b"statement %d" % n, [("key", b"signature")]))
    return log


@pytest.fixture
def copy(log: LogWriter, tmp_path: Path) -> Path:
    """A copy of the log's folder that a test may damage."""
    target = tmp_path / "log"
    subprocess.run(["cp", "-r", f"{log._store.url.removeprefix('file://')}/log", str(target)], check=True)
    return target


def run(verifier: Path, folder: Path, vkey: str, proofs: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(verifier), str(folder), vkey], input=proofs, capture_output=True, text=True, timeout=120, check=False
    )


def lines(log: LogWriter) -> Iterator[str]:
    """Every inclusion in the newest head, and every consistency step, as this project proves them."""
    for index in range(SIZE):
        yield " ".join([f"record {SIZE} {index}", *map(encode_base64, log.prove(index, SIZE))])
    for size in range(2, SIZE + 1):
        yield " ".join([f"record {size} {size - 1}", *map(encode_base64, log.prove(size - 1, size))])
        yield " ".join([f"tree {size} {size - 1}", *map(encode_base64, log.consistency(size - 1, size))])
        yield " ".join([f"tree {SIZE} {size - 1}", *map(encode_base64, log.consistency(size - 1, SIZE))])
    chance = random.Random(SIZE)
    for _ in range(DRAWN):
        old, size = sorted(chance.sample(range(1, SIZE + 1), 2))
        yield " ".join([f"tree {size} {old}", *map(encode_base64, log.consistency(old, size))])
        index = chance.randrange(size)
        yield " ".join([f"record {size} {index}", *map(encode_base64, log.prove(index, size))])


def test_go__checkpoints_inclusions_and_consistency__all_verify(verifier: Path, log: LogWriter, copy: Path) -> None:
    proofs = "".join(f"{line}\n" for line in lines(log))
    result = run(verifier, copy, log.key.vkey, proofs)
    assert result.stderr == ""
    assert result.stdout == f"records {SIZE} trees {2 * (SIZE - 1)} given {SIZE + 3 * (SIZE - 1) + 2 * DRAWN}\n"
    assert (copy / "tile/0/000").is_file()
    assert (copy / "tile/1/000.p/1").is_file()


def test_go__cosigned_checkpoint__verifies_too(verifier: Path, log: LogWriter, copy: Path, tmp_path: Path) -> None:
    """A cosignature (type 4) beside the log's signature is an unknown key to a Go verifier, and ignored."""
    signer = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32))
    witness = Witness("witness.example/w1", signer, [log.key], tmp_path / "witness.json", lambda: 1_763_942_340)
    collect_cosignature(log, SIZE, witness.key, posting(witness))
    witness.close()
    note = log.proof_file(0, SIZE).split(b"\n\n", 1)[1]
    assert b"witness.example/w1" in note
    (copy / "checkpoint").write_bytes(note)
    assert run(verifier, copy, log.key.vkey).returncode == 0


@pytest.mark.parametrize(
    "path", ["checkpoint", "checkpoints/7", "tile/0/000", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/4"]
)
def test_go__one_byte_changed__is_noticed(verifier: Path, log: LogWriter, copy: Path, path: str) -> None:
    """The program above does check: otherwise its agreement would mean nothing."""
    data = bytearray((copy / path).read_bytes())
    data[20] ^= 1
    (copy / path).write_bytes(bytes(data))
    result = run(verifier, copy, log.key.vkey)
    assert result.returncode == 1
    assert result.stderr


def test_go__another_key_or_a_false_proof__is_noticed(verifier: Path, log: LogWriter, copy: Path) -> None:
    other = LogWriter(log._store, log.key.name, Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes(32))))
    assert "no verifiable signatures" in run(verifier, copy, other.key.vkey).stderr
    good = " ".join(["record 5 2", *map(encode_base64, log.prove(2, 5))])
    assert run(verifier, copy, log.key.vkey, good).returncode == 0
    assert "given proof" in run(verifier, copy, log.key.vkey, good.replace("record 5 2", "record 5 3")).stderr


def test_go__false_consistency_proof__is_noticed_as_it_is_here(verifier: Path, log: LogWriter, copy: Path) -> None:
    """One hash of a proof is another: both say no."""
    chance = random.Random(SIZE + 1)
    for _ in range(12):
        old, size = sorted(chance.sample(range(2, SIZE), 2))
        path, heads = log.consistency(old, size), (log.checkpoint(old).checkpoint, log.checkpoint(size).checkpoint)
        position = chance.randrange(len(path))
        damaged = [node if number != position else bytes(32) for number, node in enumerate(path)]
        line = " ".join([f"tree {size} {old}", *map(encode_base64, damaged)])
        assert "given proof" in run(verifier, copy, log.key.vkey, line).stderr
        with pytest.raises(VerificationError):
            verify_consistency(old, heads[0].root, size, heads[1].root, damaged)
