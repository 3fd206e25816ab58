"""What the history keeps of what was noted, in memory and in a database, and for how long."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attest.errors import OperatorError
from attest.monitor.history import SPANS, Database, History, Memory, Span, Step, merged

NOW = 1_796_000_000 - 1_796_000_000 % 3600
HOURS, DAY, WEEK = SPANS


@pytest.fixture(params=["memory", "database"])
def history(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[History]:
    found = History.of(None if request.param == "memory" else "sqlite:///history.sqlite", 138, tmp_path)
    yield found
    found.close()


@pytest.mark.parametrize("span", SPANS)
def test_read__several_numbers_in_a_step__are_its_last_lowest_and_highest(history: History, span: Span) -> None:
    for offset, number in enumerate((5, -(10**78), 2**256, 7)):
        history.note(NOW + offset, {"a": number})
    history.note(NOW + span.step, {"a": 1})
    assert history.read(span, ["a", "b"], NOW + span.step) == {
        "a": [Step(NOW, 7, -(10**78), 2**256), Step(NOW + span.step, 1, 1, 1)],
        "b": [],
    }


def test_read__pause__leaves_a_gap(history: History) -> None:
    for at in (NOW, NOW + 60, NOW + 600):
        history.note(at, {"a": 1})
    assert [step.start - NOW for step in history.read(HOURS, ["a"], NOW + 600)["a"]] == [0, 60, 600]


def test_read__series_that_comes_and_goes__is_what_was_noted_of_it(history: History) -> None:
    history.note(NOW, {"a": 1, "b": 9})
    history.note(NOW + 1, {"b": 8})
    history.note(NOW + 2, {"a": 5})
    assert history.read(HOURS, ["a"], NOW + 2)["a"] == [Step(NOW, 5, 1, 5)]


def test_note__more_than_a_week__is_bounded_by_time_at_every_resolution(history: History) -> None:
    for at in range(NOW - 8 * 86_400, NOW, 3600):
        history.note(at, {"a": at})
    for span in SPANS:
        kept = history.read(span._replace(seconds=10**9), ["a"], NOW)["a"]
        assert kept[0].start >= NOW - 3600 - span.seconds - 2 * span.step, span
    assert len(history.read(WEEK, ["a"], NOW)["a"]) == 168


def test_read__clock_that_was_set_back__shows_no_future_and_the_past_in_order(history: History) -> None:
    for at in (NOW + 7200, NOW - 60, NOW):
        history.note(at, {"a": at})
    assert [step.start for step in history.read(HOURS, ["a"], NOW)["a"]] == [NOW - 60, NOW]


@pytest.mark.parametrize(
    ("age", "span"),
    [(0, HOURS), (7200, HOURS), (7201, DAY), (86_400, DAY), (86_401, WEEK), (9 * 86_400, WEEK)],
)
def test_span__of_what_there_is__is_the_shortest_that_shows_all(history: History, age: int, span: Span) -> None:
    assert history.span(NOW) == HOURS
    history.note(NOW, {"a": 1})
    assert history.span(NOW + age) == span


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("history")


def test_database__reopened__goes_on_with_the_step(tmp_path: Path) -> None:
    for number in (5, 1, 3):
        history = History.of("sqlite:///history.sqlite", 138, tmp_path)
        history.note(NOW, {"a": number})
        history.close()
    assert history.read(HOURS, ["a"], NOW)["a"] == [Step(NOW, 3, 1, 5)]


def test_database__other_chain__has_a_history_of_its_own(tmp_path: Path) -> None:
    one, other = (History.of("sqlite:///history.sqlite", chain, tmp_path) for chain in (1, 2))
    one.note(NOW, {"a": 1})
    assert other.read(HOURS, ["a"], NOW) == {"a": []}
    assert other.span(NOW + 10 * 86_400) == HOURS


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    notes=st.lists(
        st.tuples(
            st.integers(0, 4 * 86_400),
            st.booleans(),
            st.dictionaries(st.sampled_from("abc"), st.integers(-(2**255), 2**256 - 1)),
        ),
        max_size=12,
    )
)
def test_database_of_two_exporters__any_notes__is_what_one_memory_would_have(
    notes: list[tuple[int, bool, dict[str, int]]], folder: Path
) -> None:
    folder.joinpath("history.sqlite").unlink(missing_ok=True)
    exporters = [History(Database("sqlite:///history.sqlite", 138, folder)) for _ in range(2)]
    model = History(Memory())
    for at, first, numbers in sorted(notes, key=lambda each: each[0]):
        exporters[first].note(NOW + at, numbers)
        model.note(NOW + at, numbers)
    until = NOW + 5 * 86_400
    for span in SPANS:
        whole = span._replace(seconds=10**8)
        found, expected = (each.read(whole, "abc", until) for each in (exporters[0], model))
        # An exporter that finds nothing new writes nothing: the last number may be the other one's.
        assert {name: [(step.start, step.low, step.high) for step in steps] for name, steps in found.items()} == {
            name: [(step.start, step.low, step.high) for step in steps] for name, steps in expected.items()
        }
    for each in exporters:
        each.close()


def test_database__exporters_at_once__collide_nowhere(tmp_path: Path) -> None:
    faults: list[BaseException] = []
    exporters = [History.of("sqlite:///history.sqlite", 138, tmp_path) for _ in range(3)]
    for each in exporters:
        assert each.read(HOURS, ["a"], NOW) == {"a": []}

    def export(offset: int) -> None:
        try:
            for cycle in range(25):
                exporters[offset].note(NOW + cycle * 7, dict.fromkeys(("a", "b"), cycle * 10 + offset))
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=export, args=(offset,)) for offset in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    (step,) = exporters[0].read(WEEK, ["b"], NOW + 200)["b"]
    assert (step.low, step.high) == (0, 242)
    for each in exporters:
        each.close()


def test_database__locked__raises_and_the_next_note_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attest.monitor.database._LOCK_SECONDS", 0.1)
    history = History.of("sqlite:///history.sqlite", 138, tmp_path)
    history.note(NOW, {"a": 1})
    holder = sqlite3.connect(tmp_path / "history.sqlite", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperatorError) as fault:
        history.note(NOW + 1, {"a": 2})
    assert fault.value.code == "index-locked"
    holder.execute("ROLLBACK")
    holder.close()
    history.note(NOW + 2, {"a": 3})
    assert history.read(HOURS, ["a"], NOW + 2)["a"] == [Step(NOW, 3, 1, 3)]


def test_database__numbers_that_stay__are_not_written_again(tmp_path: Path) -> None:
    history = History.of("sqlite:///history.sqlite", 138, tmp_path)
    history.note(NOW, {f"s{n}": n for n in range(100)})
    watcher = sqlite3.connect(tmp_path / "history.sqlite")
    before = watcher.execute("PRAGMA data_version").fetchone()
    history.note(NOW + 15, {f"s{n}": n for n in range(100)})
    assert watcher.execute("PRAGMA data_version").fetchone() == before
    history.note(NOW + 30, {f"s{n}": n + 1 for n in range(100)})
    assert watcher.execute("PRAGMA data_version").fetchone() != before
    watcher.close()


@given(
    numbers=st.lists(st.tuples(st.integers(0, 10**6), st.integers()), unique_by=lambda each: each[0]),
    seconds=st.integers(1, 10**6),
)
def test_merged__any_steps__keep_lowest_highest_and_last(numbers: list[tuple[int, int]], seconds: int) -> None:
    steps = [Step(start, number, number - 1, number + 2) for start, number in sorted(numbers)]
    found = merged(steps, seconds)
    assert all(step.start % seconds == 0 for step in found)
    assert all(a.start < b.start for a, b in pairwise(found))
    for step in found:
        inside = [each for each in steps if step.start <= each.start < step.start + seconds]
        assert step.last == inside[-1].last
        assert (step.low, step.high) == (min(each.low for each in inside), max(each.high for each in inside))
    assert len(found) == len({each.start // seconds for each in steps})
