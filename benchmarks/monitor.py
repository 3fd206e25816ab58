"""What a cycle of the monitor costs its endpoint: HTTP requests, for a deployment far larger than most."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.harness import Benchmark, Measured
from tests.support.watched import LEDGER, WAD, World, value, watching

TOKENS, VAULTS = 100, 1000


def _measure() -> Measured:
    world = World(tokens=tuple(f"T{n:02}W" for n in range(TOKENS)), healths=[2 * WAD + n for n in range(VAULTS)])
    world.vaults()
    with tempfile.TemporaryDirectory() as folder:
        watch = watching(world, Path(folder), {"ledger": {"address": LEDGER}})
        snapshot = watch.cycle()
    if snapshot.failures:
        raise RuntimeError(snapshot.failures[0].error.message)
    return Measured(value(snapshot, "cycle_requests"), 1, "HTTP requests")


BENCHMARKS = [
    Benchmark("monitor", f"a cycle over {TOKENS} tokens and {VAULTS:,} vaults is under 25 HTTP requests", 24, _measure)
]
