"""Runs the benchmarks: ``python -m benchmarks.run [NAME ...] [--json]``; exit 1 if a promise is not kept."""

from __future__ import annotations

import argparse
import json
import sys

from benchmarks import chain, commands, custody, events, log, monitor, weekly
from benchmarks.harness import Benchmark

BENCHMARKS: list[Benchmark] = [
    *commands.BENCHMARKS,
    *custody.BENCHMARKS,
    *chain.BENCHMARKS,
    *events.BENCHMARKS,
    *monitor.BENCHMARKS,
    *weekly.BENCHMARKS,
    *log.BENCHMARKS,
]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what the project promises about speed.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="Only these; default all.")
    parser.add_argument("--json", action="store_true", help="Print one JSON document.")
    arguments = parser.parse_args()
    known = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    if unknown := set(arguments.names) - set(known):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    rows = []
    for name in arguments.names or known:
        benchmark = known[name]
        measured = benchmark.measure()
        kind = "difference" if benchmark.difference else "ratio"
        found = measured.difference if benchmark.difference else measured.ratio
        kept = found <= benchmark.limit
        rows.append({"name": name, kind: round(found, 3), "limit": benchmark.limit, "kept": kept})
        if not arguments.json:
            print(
                f"{'ok  ' if kept else 'FAIL'}  {name:<12} {found:8.3f} of at most {benchmark.limit:g}"
                f"   ({measured.value:.3f} {measured.unit} / {measured.baseline:.3f})  {benchmark.promise}",
                flush=True,
            )
    if arguments.json:
        print(json.dumps(rows, indent=2))
    return 0 if all(row["kept"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
