"""What a benchmark is: a promise, a limit, and a measurement against a baseline taken in the same run.

Times differ from machine to machine; ratios of two times on one machine, and counts, hardly do.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """``value`` and what it is compared with, both in ``unit``; a count is compared with 1."""

    value: float
    baseline: float
    unit: str

    @property
    def ratio(self) -> float:
        return self.value / self.baseline

    @property
    def difference(self) -> float:
        return self.value - self.baseline


@dataclass(frozen=True)
class Benchmark:
    """``promise`` in words; it is kept if the measured ratio (or ``difference``) is at most ``limit``."""

    name: str
    promise: str
    limit: float
    measure: Callable[[], Measured]
    difference: bool = False


def cpu_seconds(command: Sequence[str]) -> float:
    """CPU time (user and system) of a command and all that it starts, in seconds; raises if the command fails."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare_commands(command: Sequence[str], baseline: Sequence[str], *, rounds: int = 10) -> Measured:
    """The least CPU time of each, taken in turns: noise only adds. The first round, which compiles, is left out."""
    pairs = [(cpu_seconds(command), cpu_seconds(baseline)) for _ in range(rounds + 1)][1:]
    return Measured(min(first for first, _ in pairs), min(second for _, second in pairs), "s CPU")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def attest(*words: str) -> list[str]:
    """The ``attest`` command of this environment."""
    return [sys.executable, "-m", "attest.cli.main", *words]
