"""Exactly-once submission under seeded random faults of endpoints and networks, crashes and kills, on real nodes.

A failing seed prints its schedule; ``ATTEST_SEED=n`` plays it again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from attest.chain.devnet import Anvil
from tests.support.mempool import decoded
from tests.support.proxy import BesuRules, Proxy
from tests.support.schedules import Schedule, Theatre, prepare

GENESIS = 1_794_830_400
SOAK = os.environ.get("ATTEST_SOAK") == "1"
SEEDS = [int(os.environ["ATTEST_SEED"])] if "ATTEST_SEED" in os.environ else range(1000 if SOAK else 200)
#: Every so many schedules the trials are processes of their own, and end by SIGKILL.
KILLED_EVERY = 20


@pytest.fixture(scope="module")
def theatres(anvil: Anvil) -> Iterator[dict[str, Theatre]]:
    """A chain where gas costs something, and one where it is free."""

    def theatre(node: Anvil) -> Theatre:
        rules = BesuRules(node.url)
        return Theatre(prepare(node.url), rules, [Proxy(rules) for _ in range(3)])

    with Anvil(timestamp=GENESIS, free_gas=True) as free:
        made = {"paid": theatre(anvil), "free": theatre(free)}
        proxies = [proxy for each in made.values() for proxy in each.proxies]
        for proxy in proxies:
            proxy.__enter__()
        yield made
        for proxy in proxies:
            proxy.__exit__(None, None, None)


@pytest.fixture(autouse=True)
def _quick_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same transactions are decoded over and over, by many processes of one test."""
    monkeypatch.setattr("attest.chain.journal.decode", decoded)
    monkeypatch.setattr("attest.chain.submission.decode", decoded)


@pytest.mark.parametrize("seed", SEEDS)
def test_run__any_faults_and_deaths__each_report_lands_once_in_the_end(
    theatres: dict[str, Theatre], tmp_path: Path, seed: int
) -> None:
    schedule = Schedule.of(seed, processes=seed % KILLED_EVERY == 0)
    theatre = theatres["free" if schedule.fees == "free" else "paid"]
    try:
        theatre.play(schedule, tmp_path / "store")
    except BaseException as fault:
        fault.add_note(f"ATTEST_SEED={seed}: {schedule}\n{theatre.told()}")
        raise
