"""How light the commands are that an auditor or a shell prompt starts."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from attest.records import format_instant, to_json
from benchmarks.harness import Benchmark, Measured, attest, compare_commands, python
from tests.support.bundles import NOW, Forge, trust


def version() -> Measured:
    return compare_commands(attest("--version"), python("import click"))


def verification() -> Measured:
    """A whole bundle of the core install, where what checks chain proofs is missing; CPU time, which depends less on
    what else runs."""
    with tempfile.TemporaryDirectory() as name:
        for library in ("eth_hash", "rlp", "trie"):
            Path(name, f"{library}.py").write_text("raise ImportError")
        Path(name, "trust.json").write_bytes(to_json(replace(trust(), demands=("witnesses",))))
        bundle = Forge().write(Path(name, "public", "attestations", "2026-W47"))
        words = attest("verify", str(bundle), "--trust", f"{name}/trust.json", "--at", format_instant(NOW))
        core = ["env", f"PYTHONPATH={name}", f"XDG_STATE_HOME={name}", *words]
        return compare_commands(core, python("import cryptography, click"), rounds=15)


BENCHMARKS = [
    Benchmark("version", "attest --version costs at most 3x of importing click", 3, version),
    Benchmark(
        "verify",
        "attest verify of a whole bundle costs at most 150 ms more than importing cryptography and click",
        0.150,
        verification,
        difference=True,
    ),
]
