"""Revisions, revocations and statements for missed weeks that die: the same command, or the run, finishes them once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from attest import devnet, pipeline
from attest.steps import orders
from attest.steps.context import Environment
from attest.verify.report import exit_code
from attest.verify.trust import load_trust
from attest.verify.verifier import verify_bundle
from tests.support.killing import KILLED, Moment, operations, start_run
from tests.support.practice import Week, week

SOAK = os.environ.get("ATTEST_SOAK") == "1"
LATE = datetime(2026, 11, 25, tzinfo=UTC)
REASON = "a custodian corrected its statement"


def revise(environment: Environment) -> None:
    orders.revise(environment, devnet.PERIOD, REASON)
    pipeline.run(environment, devnet.PERIOD)


def revoke(environment: Environment) -> None:
    orders.revoke(environment, devnet.PERIOD, REASON)
    pipeline.run(environment, devnet.PERIOD)


def withhold(environment: Environment) -> None:
    environment = replace(environment, now=lambda: LATE)
    orders.withhold(environment, devnet.PERIOD, REASON)
    pipeline.run(environment, devnet.PERIOD)


def begin(operator: Week, act: Callable[[Environment], None]) -> None:
    """What must be there before the command: a published week whose file is corrected now, or nothing."""
    if act is withhold:
        return
    operator.run()
    for name in ("atlantic-trustees-usd.csv", "first-harbor-bank.camt053.xml"):
        operator.restate(name, "84613.07", "84713.07")


def points(journal: Path) -> list[tuple[int, Moment]]:
    """In CI a sample from around the order, the first and the last operation of each step, and within its artifact; in
    a soak, everywhere."""
    done = operations(journal)
    creates = {number for number, (_, name) in enumerate(done, 1) if name.startswith("create")}
    if SOAK:
        everywhere: list[tuple[int, Moment]] = [(n, m) for n in range(1, len(done) + 1) for m in ("before", "after")]
        return everywhere + [(number, "middle") for number in sorted(creates)]
    chosen: set[tuple[int, Moment]] = {(1, "before"), (1, "middle"), (1, "after")}
    for step in {of for of, _ in done}:
        numbers = [number for number, (of, _) in enumerate(done, 1) if of == step]
        chosen |= {(numbers[0], "after"), (numbers[-1], "before"), (numbers[-1], "after")}
        chosen |= {
            (number, "middle") for number in numbers if number in creates and number == max(creates & {*numbers})
        }
    return sorted(chosen)[:: -(-len(chosen) // 10)]


@pytest.mark.no_cover  # the same lines many times; other tests cover them
@pytest.mark.parametrize(
    ("act", "reports", "folder", "code"),
    [
        (revise, 3, "attestations/2026-W47.1", 0),
        (revoke, 0, "attestations/2026-W47.1", 4),
        (withhold, 0, "attestations/2026-W47", 4),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_order__killed_anywhere__is_finished_once_by_the_same_command_or_the_run(
    network: tuple[Path, str],
    tmp_path: Path,
    act: Callable[[Environment], None],
    reports: int,
    folder: str,
    code: int,
) -> None:
    journal = tmp_path / "journal"
    with week(*network, tmp_path / "clean") as operator:
        begin(operator, act)
        process = start_run(operator.folder, journal=journal, act=act)
        process.join()
        assert process.exitcode == 0
    chosen = points(journal)
    killed = 0
    for number, (at, moment) in enumerate(chosen):
        with week(*network, tmp_path / f"week-{number}") as operator:
            begin(operator, act)
            before, public = operator.sent(), operator.stored("public")
            process = start_run(operator.folder, at, moment, act=act)
            process.join()
            note = f"killed {moment} operation {at}: {operations(journal)[at - 1]}"
            if process.exitcode == 0:
                continue  # the chain needed a look less than in the clean run, and the operation never came
            assert process.exitcode == KILLED, note
            killed += 1
            decided = operator.stored()
            if number % 2 and any(key.endswith("/revision") for key in decided):
                operator.run()
            else:
                act(operator.environment())
            assert_finished_once(operator, before, decided, public, reports, folder, code, note)
    assert killed > 7
    assert killed * 10 >= len(chosen) * 8


def assert_finished_once(
    operator: Week,
    before: Mapping[str, int],
    decided: Mapping[str, bytes],
    public: Mapping[str, bytes],
    reports: int,
    folder: str,
    code: int,
    note: str,
) -> None:
    *reporters, publisher = [count - before[address] for address, count in operator.sent().items()]
    assert (reporters, publisher) == ([reports] * 3, 1), note
    stored, now_public = operator.stored(), operator.stored("public")
    for key, data in decided.items():
        assert stored[key] == data, f"{note}: {key} was decided twice"
    for key, data in public.items():
        if key.startswith("attestations/"):
            assert now_public[key] == data, f"{note}: {key} was changed"
    entries = 2 if public else 1
    assert f"log/checkpoints/{entries}" in now_public, note
    assert f"log/checkpoints/{entries + 1}" not in now_public, note
    assert len([key for key in stored if key.endswith("/revision")]) == entries - 1, note
    bundle = operator.folder / "public" / folder
    report = verify_bundle(bundle, load_trust(operator.folder / "trust.json", bundle), now=LATE)
    assert exit_code(report) == code, note


@pytest.mark.parametrize("pause", [0.0, 0.3])
def test_revise__two_started_together__end_with_one_revision(
    network: tuple[Path, str], tmp_path: Path, pause: float
) -> None:
    with week(*network, tmp_path / "week") as operator:
        begin(operator, revise)
        before, public = operator.sent(), operator.stored("public")
        first = start_run(operator.folder, act=revise)
        time.sleep(pause)
        second = start_run(operator.folder, act=revise)
        first.join()
        second.join()
        assert (first.exitcode, second.exitcode) == (0, 0)
        assert_finished_once(operator, before, {}, public, 3, "attestations/2026-W47.1", 0, "together")
