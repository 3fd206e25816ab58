"""What the monitor serves, and when it says that it is not well."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from attest.block import Block
from attest.monitor import metrics
from attest.monitor.exposition import Sample
from attest.monitor.findings import Finding
from attest.monitor.server import Board
from attest.monitor.watch import Snapshot

AT = datetime(2026, 11, 30, 8, tzinfo=UTC)
SNAPSHOT = Snapshot(AT, {"main": Block(138, 7, "ab" * 32, 1)}, (Sample(metrics.VAULTS, 3),), (), {})


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_metrics__before_the_first_cycle__are_not_there_and_then_are_the_last_cycles() -> None:
    board = Board(15)
    assert board.answer("/metrics").status == 503
    board.put(SNAPSHOT, [])
    answer = board.answer("/metrics")
    assert (answer.status, answer.content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert answer.body.endswith(b"# TYPE attest_vaults gauge\nattest_vaults 3\n")


@pytest.mark.parametrize(("interval", "seconds"), [(15, 60), (60, 180)])
def test_healthz__cycle_overdue__is_503_until_one_is_through(interval: int, seconds: int) -> None:
    clock = Clock()
    board = Board(interval, clock)
    clock.now += seconds
    assert board.answer("/healthz").status == 200
    clock.now += 1
    assert board.answer("/healthz").status == 503, "the first cycle hangs"
    board.put(SNAPSHOT, [])
    assert board.answer("/healthz").body == b"ok: the last cycle ended 0 s ago\n"
    clock.now += seconds + 1
    assert board.answer("/healthz").status == 503


def test_other_paths__are_not_found() -> None:
    assert Board(15).answer("/metrics/../etc/passwd").status == 404


def test_page__hostile_text__is_text() -> None:
    hostile = '<script>alert("x")</script>\x1b[31m\u202e'
    board = Board(15)
    board.put(SNAPSHOT, [Finding(hostile, "critical", "P0", hostile, hostile)])
    page = board.answer("/").body.decode()
    tags: set[str] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            tags.add(tag)

    Reader().feed(page)
    assert "script" not in tags
    assert not re.search("[\x00-\x09\x0b-\x1f\u202a-\u202e]", page)
    assert page.count("&lt;script&gt;") == 3
    assert "main at block 7" in page
