"""How light the commands are that an auditor or a shell prompt starts."""

from __future__ import annotations

import tempfile
from pathlib import Path

from attest.records import format_instant, to_json
from benchmarks.harness import Benchmark, Measured, attest, compare_commands, python
from tests.support.bundles import NOW, Forge, trust


def version() -> Measured:
    return compare_commands(attest("--version"), python("import click"))


def verification() -> Measured:
    with tempfile.TemporaryDirectory() as name:
        Path(name, "trust.json").write_bytes(to_json(trust()))
        bundle = Forge().write(Path(name, "public", "attestations", "2026-W47"))
        words = attest("verify", str(bundle), "--trust", f"{name}/trust.json", "--at", format_instant(NOW))
        return compare_commands(words, python("import click, cryptography.hazmat.primitives.asymmetric.ec"), rounds=5)


BENCHMARKS = [
    Benchmark("version", "attest --version costs at most 3x of importing click", 3, version),
    Benchmark(
        "verify", "attest verify of a bundle costs at most 12x of importing click and cryptography", 12, verification
    ),
]
