"""The monitor's history in a real PostgreSQL: exporters at once, numbers of any size, and what is too old."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from attest.monitor.history import SPANS, Database, History, Step
from tests.support.postgresql import Server, postgresql

pytestmark = pytest.mark.requires("initdb", "apt-get install postgresql")

NOW = 1_796_000_000 - 1_796_000_000 % 3600
HOURS, DAY, WEEK = SPANS


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgresql() as running:
        yield running


def test_history__three_exporters_at_once__keep_lowest_and_highest_of_all(server: Server) -> None:
    exporters = [History(Database(server.url(database="postgres"), 138, Path())) for _ in range(3)]
    faults: list[BaseException] = []

    def export(offset: int) -> None:
        try:
            for cycle in range(20):
                exporters[offset].note(NOW + cycle * 7, dict.fromkeys("abc", (cycle + offset) * 10**77))
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=export, args=(offset,)) for offset in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    for series in exporters[0].read(WEEK, "abc", NOW + 200).values():
        assert [(step.start, step.low, step.high) for step in series] == [(NOW, 0, 21 * 10**77)]
    for each in exporters:
        each.close()


def test_history__days__are_bounded_and_of_one_chain(server: Server) -> None:
    one, other = (History(Database(server.url(database="postgres"), chain, Path())) for chain in (1, 2))
    for at in (NOW - 9 * 86_400, NOW - 3 * 86_400, NOW):
        one.note(at, {"a": -at})
    assert one.read(WEEK._replace(seconds=10**9), ["a"], NOW) == {
        "a": [Step(at, -at, -at, -at) for at in (NOW - 3 * 86_400, NOW)]
    }
    assert len(one.read(DAY._replace(seconds=10**9), ["a"], NOW)["a"]) == 1
    assert one.span(NOW) == WEEK
    assert other.read(WEEK, ["a"], NOW) == {"a": []}
    one.close()
    other.close()
