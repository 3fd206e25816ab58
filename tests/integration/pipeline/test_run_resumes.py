"""A run that is killed anywhere is finished by the next one: one report per token and reporter, one publication, the
same salts. ``make soak`` kills at every operation; here, at the edges and in the middle of every step."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from attest import pipeline
from attest.verify.report import exit_code
from attest.verify.trust import load_trust
from attest.verify.verifier import verify_bundle
from tests.support.killing import KILLED, Moment, operations, start_run
from tests.support.practice import Week, week

SOAK = os.environ.get("ATTEST_SOAK") == "1"
#: The same lines many times; other tests cover them.
pytestmark = pytest.mark.no_cover
STEPS = [step.name for step in pipeline.STEPS]
Fresh = Callable[[], AbstractContextManager[Week]]


@pytest.fixture
def fresh(network: tuple[Path, str], tmp_path: Path) -> Fresh:
    """Makes one due week after another."""
    template, url = network
    numbers = iter(range(10_000))
    return lambda: week(template, url, tmp_path / f"week-{next(numbers)}")


@pytest.fixture(scope="module")
def clean_run(network: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """The operations of an undisturbed run: (step, operation)."""
    folder = tmp_path_factory.mktemp("clean")
    with week(*network, folder / "week") as operator:
        process = start_run(operator.folder, journal=folder / "journal")
        process.join()
        assert process.exitcode == 0
    return operations(folder / "journal")


def assert_finished_once(operator: Week, before: dict[str, int], decided: Mapping[str, bytes]) -> None:
    """The invariants after the last run, whatever came before it."""
    *reporters, publisher = [count - before[address] for address, count in operator.sent().items()]
    assert reporters == [3, 3, 3]
    assert publisher == 1
    stored = operator.stored()
    for key, data in decided.items():
        assert stored[key] == data, f"{key} was decided twice"
    public = operator.stored("public")
    assert "log/checkpoints/1" in public
    assert "log/checkpoints/2" not in public
    bundle = operator.folder / "public/attestations/2026-W47"
    trust = load_trust(operator.folder / "trust.json", bundle)
    report = verify_bundle(bundle, trust, now=datetime(2026, 11, 23, tzinfo=UTC))
    assert exit_code(report) == 0


def kill_and_finish(operator: Week, at: int, moment: Moment) -> None:
    before = operator.sent()
    process = start_run(operator.folder, at, moment)
    process.join()
    assert process.exitcode == KILLED, f"operation {at} was never reached"
    decided = operator.stored()
    operator.run()
    assert_finished_once(operator, before, decided)


def points_of(step: str, clean_run: list[tuple[str, str]]) -> list[tuple[int, Moment]]:
    """Where to kill in a step: in CI, around its first and last operation and its artifact; in a soak, everywhere."""
    numbered = [(number, name) for number, (of, name) in enumerate(clean_run, 1) if of == step]
    creates = [number for number, name in numbered if name.startswith("create")]
    if SOAK:
        moments: tuple[Moment, ...] = ("before", "after")
        return [(number, moment) for number, _ in numbered for moment in moments] + [(n, "middle") for n in creates]
    first, last = numbered[0][0], numbered[-1][0]
    points: list[tuple[int, Moment]] = [(first, "after"), (last, "before"), (last, "after")]
    points += [(creates[len(creates) // 2], "middle")] if creates else []
    requests = [number for number, name in numbered if name.endswith("request")]
    points += [(requests[-1], "after")] if requests else []
    return sorted(set(points))


@pytest.mark.parametrize("step", STEPS)
def test_run__killed_around_and_within_a_step__is_finished_by_the_next(
    fresh: Fresh, clean_run: list[tuple[str, str]], step: str
) -> None:
    for at, moment in points_of(step, clean_run):
        with fresh() as operator:
            try:
                kill_and_finish(operator, at, moment)
            except BaseException as fault:
                fault.add_note(f"killed {moment} operation {at}: {clean_run[at - 1]}")
                raise


@pytest.mark.parametrize("seed", range(100 if SOAK else 6))
def test_run__killed_at_random_points_again_and_again__ends_the_same_way(fresh: Fresh, seed: int) -> None:
    dice = random.Random(seed)
    with fresh() as operator:
        before = operator.sent()
        for _ in range(dice.randint(1, 4)):
            process = start_run(operator.folder)
            time.sleep(dice.uniform(0.05, 2.0))
            with contextlib.suppress(ProcessLookupError):  # a fast machine may have finished
                os.kill(process.pid, signal.SIGKILL)
            process.join()
        decided = operator.stored()
        operator.run()
        assert_finished_once(operator, before, decided)


def test_run__the_node_left_a_killed_runs_reports_waiting__recovers_in_seconds(
    fresh: Fresh, clean_run: list[tuple[str, str]]
) -> None:
    sending = [n for n, operation in enumerate(clean_run, 1) if operation == ("submit", "rpc request")][-1]
    with fresh() as operator:
        before = operator.sent()
        operator.rpc("evm_setAutomine", False)
        process = start_run(operator.folder, sending)
        process.join()
        assert process.exitcode == KILLED
        decided = operator.stored()
        # A block takes one report (of 74,000 gas, limited to 111,000), so that the price does not rise. anvil keeps the
        # others until it is sent something new.
        limit = operator.rpc("eth_getBlockByNumber", "latest", False)["gasLimit"]
        operator.rpc("evm_setBlockGasLimit", hex(170_000))
        operator.rpc("evm_setAutomine", True)
        deadline = time.monotonic() + 10
        while operator.sent() == before and time.monotonic() < deadline:
            time.sleep(0.05)
        operator.rpc("evm_setBlockGasLimit", limit)
        waiting = int(operator.rpc("txpool_status")["pending"], 16)
        assert waiting == 8

        begun = time.monotonic()
        operator.run()

        assert 10 < time.monotonic() - begun < 30, "the practice network's patience is 5 s, twice"
        assert_finished_once(operator, before, decided)


@pytest.mark.parametrize("seed", range(30 if SOAK else 4))
def test_run__two_started_together__end_with_one_set_of_everything(fresh: Fresh, seed: int) -> None:
    dice = random.Random(seed)
    with fresh() as operator:
        before = operator.sent()
        first = start_run(operator.folder)
        time.sleep(dice.uniform(0.0, 0.6) if seed else 0.0)
        second = start_run(operator.folder)
        first.join()
        second.join()
        assert (first.exitcode, second.exitcode) == (0, 0)
        assert_finished_once(operator, before, operator.stored())
        assert operator.run().already_done
