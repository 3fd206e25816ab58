"""Merkle proofs, and how a log's size weighs on what one more entry costs."""

from __future__ import annotations

import hashlib
import random
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from attest.log.checkpoint import Checkpoint
from attest.log.note import sign_note
from attest.log.tiles import TILE_WIDTH, Edge, Tile, bundle_path, format_bundle, tile_path
from attest.log.writer import LogWriter
from attest.merkle.proof import leaf_hash, verify_inclusion
from attest.signing.dsse import assemble_envelope
from attest.signing.ed25519 import Ed25519Signer
from attest.store import LocalStore
from benchmarks.harness import Benchmark, Measured

DEPTH = 20
PROOFS = 10_000
SMALL, LARGE = 100, 100_000
ROUNDS = 15
#: About what a statement over a handful of tokens takes.
ENTRY_BYTES = 4_000


def inclusion() -> Measured:
    """CPU time of verifying proofs, against hashing along the same paths and nothing else."""
    levels = [[hashlib.sha256(b"%d" % number).digest() for number in range(1 << DEPTH)]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([hashlib.sha256(b"\x01" + b"".join(below[i : i + 2])).digest() for i in range(0, len(below), 2)])
    (root,) = levels[-1]
    picked = random.Random(1).sample(range(1 << DEPTH), PROOFS)
    proofs = [(levels[0][i], i, [levels[level][i >> level ^ 1] for level in range(DEPTH)]) for i in picked]

    def verified() -> None:
        for leaf, index, path in proofs:
            verify_inclusion(leaf, index, 1 << DEPTH, path, root)

    def bare() -> None:
        sha256 = hashlib.sha256
        for node, bits, path in proofs:
            for sibling in path:
                node = sha256(b"\x01" + sibling + node if bits & 1 else b"\x01" + node + sibling).digest()
                bits >>= 1
            assert node == root

    times = [(_seconds(verified), _seconds(bare)) for _ in range(9)]
    return Measured(min(first for first, _ in times), min(second for _, second in times), "s CPU")


def _seconds(act: Callable[[], object]) -> float:
    before = time.process_time()
    act()
    return time.process_time() - before


# -- appending -------------------------------------------------------------------------------------------------------


class CountingStore(LocalStore):
    """Counts its operations."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.operations = 0

    def get(self, key: str) -> bytes | None:
        self.operations += 1
        return super().get(key)

    def create(self, key: str, data: bytes) -> bool:
        self.operations += 1
        return super().create(key, data)

    def replace(self, key: str, data: bytes) -> None:
        self.operations += 1
        super().replace(key, data)

    def list(self, prefix: str) -> list[str]:
        self.operations += 1
        return super().list(prefix)


def _entry(number: int) -> bytes:
    return assemble_envelope("text/plain", (b"%d " % number).ljust(ENTRY_BYTES, b"x"), [("key", b"signature")])


def _log(folder: Path, size: int) -> tuple[CountingStore, LogWriter]:
    """A log of ``size`` entries in its public formats, of which only what appending may read is written: the tiles and
    the bundle that are not full, and the head."""
    store = CountingStore(folder)
    log = LogWriter(store, "log.example", signer := Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes(32))))
    first = size - size % TILE_WIDTH
    last = [_entry(number) for number in range(first, size)]
    edge, tiles = Edge(0, []), dict[int, tuple[Tile, bytes]]()
    for number in range(size):
        for tile, content in edge.append(leaf_hash(last[number - first] if number >= first else b"%d" % number)):
            tiles[tile.level] = (tile, content)
    for tile, content in tiles.values():
        store.create(f"log/{tile_path(tile)}", content)
    store.create(f"log/{bundle_path(size)}", format_bundle(last))
    note = sign_note(Checkpoint("log.example", size, edge.root).text, "log.example", signer).to_bytes()
    for key in (f"checkpoints/{size}", "checkpoint"):
        store.create(f"log/{key}", note)
    return store, log


def _append(store: CountingStore, log: LogWriter, number: int) -> tuple[float, int]:
    """What one more entry costs: seconds, and objects read or written."""
    entry, before, start = _entry(10**9 + number), store.operations, time.perf_counter()
    log.append(entry)
    return time.perf_counter() - start, store.operations - before


@cache
def _appending() -> list[list[tuple[float, int]]]:
    """The costs of many appends to a large and a small log, taken in turns."""
    with tempfile.TemporaryDirectory() as name:
        logs = [_log(Path(name, str(size)), size) for size in (LARGE, SMALL)]
        rounds = [[_append(store, log, number) for store, log in logs] for number in range(ROUNDS)]
        return [list(costs) for costs in zip(*rounds, strict=True)]


def append_time() -> Measured:
    large, small = (min(seconds for seconds, _ in costs) for costs in _appending())
    return Measured(large, small, "s")


def append_objects() -> Measured:
    large, small = (max(count for _, count in costs) for costs in _appending())
    return Measured(large, small, "objects read or written")


BENCHMARKS = [
    Benchmark(
        "inclusion",
        "10,000 inclusion proofs of depth 20 are verified in at most 1.5x of hashing along the same paths",
        1.5,
        inclusion,
    ),
    Benchmark(
        "log-append", "one more entry takes a log of 100,000 at most 2x of what it takes one of 100", 2, append_time
    ),
    Benchmark(
        "log-objects",
        "an entry reads and writes O(log n) objects: at 100,000 entries at most 1.5x of those at 100",
        1.5,
        append_objects,
    ),
]
