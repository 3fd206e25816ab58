"""What the monitor serves, and when it says that it is not well."""

from __future__ import annotations

import base64
import hashlib
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from attest.block import Block
from attest.monitor import metrics
from attest.monitor.cycle import Snapshot
from attest.monitor.exposition import Sample
from attest.monitor.history import History, Memory
from attest.monitor.page import MonitorPage, View
from attest.monitor.server import Board
from tests.support.watched import World, configuration

AT = datetime(2026, 11, 30, 8, tzinfo=UTC)
SNAPSHOT = Snapshot(AT, {"main": Block(138, 7, "ab" * 32, 1)}, (Sample(metrics.VAULTS, 3),), (), {})


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def board(interval: int = 15, clock: Callable[[], float] | None = None) -> Board:
    page = MonitorPage(configuration(World()), History(Memory()))
    return Board(interval, page) if clock is None else Board(interval, page, clock)


def test_metrics__before_the_first_cycle__are_not_there_and_then_are_the_last_cycles() -> None:
    shown = board()
    assert shown.answer("/metrics").status == 503
    shown.put(SNAPSHOT, [])
    answer = shown.answer("/metrics")
    assert (answer.status, answer.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert answer.body.endswith(b"# TYPE attest_vaults gauge\nattest_vaults 3\n")


@pytest.mark.parametrize(("interval", "seconds"), [(15, 60), (60, 180)])
def test_healthz__cycle_overdue__is_503_until_one_is_through(interval: int, seconds: int) -> None:
    clock = Clock()
    shown = board(interval, clock)
    clock.now += seconds
    assert shown.answer("/healthz").status == 200
    clock.now += 1
    assert shown.answer("/healthz").status == 503, "the first cycle hangs"
    shown.put(SNAPSHOT, [])
    assert shown.answer("/healthz").body == b"ok: the last cycle ended 0 s ago\n"
    clock.now += seconds + 1
    assert shown.answer("/healthz").status == 503


def test_other_paths__are_not_found() -> None:
    assert board().answer("/metrics/../etc/passwd").status == 404


def test_page__is_made_once_in_a_cycle_for_each_view() -> None:
    made: list[View] = []

    class Counted(MonitorPage):
        def render(self, snapshot, found, view, overdue):  # type: ignore[no-untyped-def]
            made.append(view)
            return super().render(snapshot, found, view, overdue)

    shown = Board(15, Counted(configuration(World()), History(Memory())))
    shown.put(SNAPSHOT, [])
    assert made == [], "nobody has asked"
    first = shown.answer("/")
    assert shown.answer("/") == first
    shown.answer("/", "over=day")
    shown.answer("/", "over=day&refresh=off")
    assert made == [View(), View("day"), View("day", False)]
    shown.put(SNAPSHOT, [])
    shown.answer("/", "x=y")
    assert len(made) == 4


def test_page__overdue__is_made_anew_by_the_minute_and_says_so() -> None:
    clock = Clock()
    shown = board(15, clock)
    shown.put(SNAPSHOT, [])
    assert b"This page is old" not in shown.answer("/").body
    clock.now += 61
    assert b"The last cycle ended 1 minute 1 second ago" in shown.answer("/").body
    clock.now += 30
    assert b"The last cycle ended 1 minute 1 second ago" in shown.answer("/").body
    clock.now += 60
    assert b"The last cycle ended 2 minutes 31 seconds ago" in shown.answer("/").body


def test_page__overdue_for_hours__keeps_one_page_of_each_view() -> None:
    clock = Clock()
    shown = board(15, clock)
    shown.put(SNAPSHOT, [])
    clock.now += 3600
    size = len(shown.answer("/").body)
    tracemalloc.start()
    try:
        for _ in range(60):
            clock.now += 60
            shown.answer("/")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 20 * size


def test_page__policy__names_its_style_by_digest_and_allows_no_script() -> None:
    answer = board().answer("/")
    policy = answer.headers["Content-Security-Policy"]
    style = answer.body.decode().partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    assert "unsafe" not in policy


def test_page__refresh__is_of_the_reader_to_stop_and_sooner_in_the_first_cycle() -> None:
    shown = board()
    assert shown.answer("/").headers["Refresh"] == "5"
    shown.put(SNAPSHOT, [])
    assert shown.answer("/").headers["Refresh"] == "60"
    assert "Refresh" not in shown.answer("/", "refresh=off").headers
    assert b'href="/?refresh=off"' in shown.answer("/").body
