"""Fuzzes every format, one after the other: ``python -m tests.fuzz.run --minutes 10 [--format NAME] [--keep]``.

Inputs that lead to code which no other reached are kept in ``build/fuzz`` and begun with next time; ``--keep`` puts a
small choice of them into ``tests/fuzz/corpus``, which a test reads. The engine is atheris (libFuzzer).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from attest.custody.formats import BUILT_IN
from tests.fuzz import inputs, keep

ROOT = Path(__file__).parents[2]
WORK = ROOT / "build" / "fuzz"
MAX_INPUT = 16_384
#: libFuzzer's own: an input that takes longer ends the process.
HANG_SECONDS = 20
MEMORY_MIB = 1024
_STATISTIC = re.compile(r"stat::(\w+): +([0-9]+)")
_COVERED = re.compile(r"cov: ([0-9]+)")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.run", description="Fuzz the formats' readers.")
    parser.add_argument("--minutes", type=float, default=10, help="for all formats together [10]")
    parser.add_argument("--format", action="append", choices=list(BUILT_IN), help="this one alone; may be repeated")
    parser.add_argument("--keep", action="store_true", help="put the inputs worth keeping into tests/fuzz/corpus")
    chosen = parser.parse_args()
    if find_spec("atheris") is None:
        raise SystemExit("The fuzzer needs atheris: pip install atheris (there are wheels for Linux on x86-64).")
    names = chosen.format or list(BUILT_IN)
    seconds = max(5, round(chosen.minutes * 60 / len(names)))
    findings = WORK / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    for old in findings.iterdir():
        old.unlink()
    total = 0
    for name in names:
        total += _fuzz(name, seconds, findings)
        if chosen.keep:
            keep.keep(name, sorted((WORK / name).iterdir()))
    found = sorted(path for path in findings.iterdir() if path.suffix != ".txt")
    print(f"{total} executions of {len(names)} formats, {len(found)} findings")
    for path in found:
        text = path.with_suffix(".txt")
        said = text.read_text(encoding="utf-8").strip().splitlines()[-1] if text.exists() else "hang or memory"
        print(f"  {path.relative_to(ROOT)}: {said[:200]}")
    raise SystemExit(1 if found else 0)


def _fuzz(name: str, seconds: int, findings: Path) -> int:
    """Run the engine on one format for so long, again where it ended before; gives the number of executions."""
    corpus = WORK / name
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(inputs.seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    executions, slowest, memory, covered = 0, 0, 0, 0
    until = time.monotonic() + seconds
    while (left := round(until - time.monotonic())) > 0:
        engine = [
            *(sys.executable, "-m", "tests.fuzz.target", name, str(findings)),
            *(f"-max_total_time={left}", f"-timeout={HANG_SECONDS}", f"-rss_limit_mb={MEMORY_MIB}", "-len_control=0"),
            *(f"-max_len={MAX_INPUT}", f"-artifact_prefix={findings}/{name}-", "-print_final_stats=1", "-reload=0"),
            str(corpus),
        ]
        ended = subprocess.run(engine, cwd=ROOT, check=False, capture_output=True, encoding="utf-8", errors="replace")
        said = dict(_STATISTIC.findall(ended.stderr))
        if "number_of_executed_units" not in said:
            raise SystemExit(f"{name}: the engine failed:\n{ended.stderr[-4000:]}")
        executions += int(said["number_of_executed_units"])
        slowest = max(slowest, int(said["slowest_unit_time_sec"]))
        memory = max(memory, int(said["peak_rss_mb"]))
        covered = max([covered, *map(int, _COVERED.findall(ended.stderr))])
    print(
        f"{name:16} {executions:9} executions in {seconds} s, coverage {covered}, "
        f"{len(list(corpus.iterdir()))} inputs, slowest {slowest} s, {memory} MiB",
        flush=True,
    )
    return executions


if __name__ == "__main__":
    main()
