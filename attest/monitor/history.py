"""The numbers of the last days, for the page's plots: minutes for two hours, ten minutes for a day, hours for a week.

A step of a series keeps its last, lowest and highest number, integers of any size. What a series has is bounded by
time, so that neither memory nor disk grow with the days. They are kept in the event index's database, where plots
survive a restart and several exporters may note the same series; in memory where there is no index.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from attest import databases
from attest.monitor.database import create_tables, faults, insert_new, location, open_engine
from attest.monitor.thresholds import DAY, HOUR, MINUTE

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine


class Span(NamedTuple):
    """How far back, and in steps of how long; in seconds."""

    name: str
    step: int
    seconds: int


SPANS = (Span("hours", MINUTE, 2 * HOUR), Span("day", 10 * MINUTE, DAY), Span("week", HOUR, 7 * DAY))


class Step(NamedTuple):
    """One step of a series: when it began (Unix seconds), its last number, the lowest and the highest."""

    start: int
    last: int
    low: int
    high: int

    def then(self, other: Step) -> Step:
        """This step and what came after it, as one."""
        return Step(self.start, other.last, min(self.low, other.low), max(self.high, other.high))


#: A series in steps of so many seconds.
Key: TypeAlias = tuple[int, str]


class Kept(Protocol):
    """Where steps are kept. Both may raise :class:`OperatorError` (``index-locked``, ``index-full``,
    ``index-unusable``)."""

    def add(self, steps: Mapping[Key, Step], now: int) -> None:
        """Keep steps, each with what is kept of it already, and drop what is older than its span."""

    def read(self, step: int, series: Collection[str], since: int) -> dict[str, list[Step]]:
        """The steps of a length that began after ``since``, oldest first, by their series."""

    def begin(self) -> int | None:
        """When the oldest of the longest steps began; None while there is none."""

    def close(self) -> None: ...


class History:
    """What was noted. :meth:`note` is for one thread, the rest for any."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._known: dict[Key, Step] = {}

    @classmethod
    def of(cls, index: str | None, chain_id: int, base: Path) -> History:
        """In the database of a chain's event index, or in memory. Raises :class:`OperatorError` for a missing secret;
        the database is first opened when it is needed."""
        return cls(Memory() if index is None else Database(location(index, base), chain_id, base))

    def note(self, at: int, values: Mapping[str, int]) -> None:
        """Add each series's number of a moment (Unix seconds). Raises :class:`OperatorError`; then nothing was
        added."""
        new = {}
        for span in SPANS:
            start = at - at % span.step
            for series, value in values.items():
                known, step = self._known.get((span.step, series)), Step(start, value, value, value)
                if known is not None and known.start == start:
                    step = known.then(step)
                if step != known:
                    new[span.step, series] = step
        if new:
            self._kept.add(new, at)
        self._known |= new
        self._known = {key: step for key, step in self._known.items() if key[1] in values}

    def read(self, span: Span, series: Collection[str], now: int) -> dict[str, list[Step]]:
        """The steps of each series, oldest first, and an empty list where there are none. Raises
        :class:`OperatorError`."""
        found = self._kept.read(span.step, series, now - span.seconds - span.step)
        return {name: [step for step in found.get(name, []) if step.start <= now] for name in series}

    def span(self, now: int) -> Span:
        """The shortest span that shows all there is. Raises :class:`OperatorError`."""
        begin = self._kept.begin()
        age = 0 if begin is None else now - begin
        return next((span for span in SPANS if age <= span.seconds), SPANS[-1])

    def close(self) -> None:
        self._kept.close()


class Memory:
    """Steps in memory."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: dict[Key, dict[int, Step]] = {}

    def add(self, steps: Mapping[Key, Step], now: int) -> None:
        with self._lock:
            for key, step in steps.items():
                kept = self._steps.setdefault(key, {})
                kept[step.start] = kept[step.start].then(step) if step.start in kept else step
            for span in SPANS:
                oldest = now - span.seconds - span.step
                for key in [key for key in self._steps if key[0] == span.step]:
                    for start in [start for start in self._steps[key] if start < oldest]:
                        del self._steps[key][start]
                    if not self._steps[key]:
                        del self._steps[key]

    def read(self, step: int, series: Collection[str], since: int) -> dict[str, list[Step]]:
        with self._lock:
            found = {name: list(self._steps.get((step, name), {}).values()) for name in series}
        return {name: sorted(each for each in steps if each.start > since) for name, steps in found.items()}

    def begin(self) -> int | None:
        longest = SPANS[-1].step
        with self._lock:
            return min(
                (start for (step, _), kept in self._steps.items() if step == longest for start in kept), default=None
            )

    def close(self) -> None:
        """Nothing to do."""


class Database:
    """Steps in the database of the event index."""

    def __init__(self, url: str, chain_id: int, base: Path) -> None:
        self._location = url
        self._chain_id = chain_id
        self._base = base
        self._opening = threading.Lock()
        self._engine: Engine | None = None
        self._dropped_at = 0

    def add(self, steps: Mapping[Key, Step], now: int) -> None:
        from attest.monitor.tables import history

        by_place: dict[tuple[int, int], dict[str, Step]] = {}
        for (length, series), step in sorted(steps.items()):
            by_place.setdefault((length, step.start), {})[series] = step
        with self._transaction() as connection:
            for (length, _), of_place in by_place.items():
                # Whoever inserts first has the rows, or (SQLite) the database, until the transaction's end.
                rows = [self._row(length, series, step) for series, step in of_place.items()]
                connection.execute(insert_new(connection, history), rows)
                self._merge(connection, length, of_place)
            if now - self._dropped_at >= MINUTE:
                self._drop(connection, now)
        if now - self._dropped_at >= MINUTE:
            self._dropped_at = now

    def read(self, step: int, series: Collection[str], since: int) -> dict[str, list[Step]]:
        from attest.monitor.tables import history

        columns = history.c
        found: dict[str, list[Step]] = {name: [] for name in series}
        with self._transaction() as connection:
            rows = connection.execute(
                history.select()
                .with_only_columns(columns.series, columns.start, columns.last, columns.low, columns.high)
                .where(columns.chain_id == self._chain_id, columns.step == step, columns.start > since)
                .where(columns.series.in_(list(series)))
                .order_by(columns.start)
            )
            for name, start, *numbers in rows:
                found[name].append(Step(start, *map(int, numbers)))
        return found

    def begin(self) -> int | None:
        from sqlalchemy import func, select

        from attest.monitor.tables import history

        columns = history.c
        with self._transaction() as connection:
            return connection.execute(
                select(func.min(columns.start)).where(
                    columns.chain_id == self._chain_id, columns.step == SPANS[-1].step
                )
            ).scalar()

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        from attest.monitor.tables import history_metadata

        url = databases.parse(self._location, "the event index")
        with faults(url):
            with self._opening:
                if self._engine is None:
                    engine = open_engine(url, self._base)
                    try:
                        create_tables(engine, history_metadata)
                    except BaseException:
                        engine.dispose()
                        raise
                    self._engine = engine
            with self._engine.begin() as connection:
                yield connection

    def _row(self, length: int, series: str, step: Step) -> dict[str, int | str]:
        numbers = {"last": str(step.last), "low": str(step.low), "high": str(step.high)}
        return {"chain_id": self._chain_id, "step": length, "start": step.start, "series": series, **numbers}

    def _merge(self, connection: Connection, length: int, steps: Mapping[str, Step]) -> None:
        """Add steps that begin together to rows that are there. Numbers are text: the lowest is found here."""
        from sqlalchemy import bindparam

        from attest.monitor.tables import history

        columns, start = history.c, next(iter(steps.values())).start
        place = (columns.chain_id == self._chain_id, columns.step == length, columns.start == start)
        rows = connection.execute(history.select().where(*place).order_by(columns.series).with_for_update())
        changed = []
        for row in rows.mappings():
            stored = Step(start, int(row["last"]), int(row["low"]), int(row["high"]))
            step = steps.get(row["series"])
            if step is not None and (merged := stored.then(step)) != stored:
                changed.append(self._row(length, row["series"], merged) | {"name": row["series"]})
        if changed:
            connection.execute(
                history.update().where(*place, columns.series == bindparam("name")),
                [{key: each[key] for key in ("name", "last", "low", "high")} for each in changed],
            )

    def _drop(self, connection: Connection, now: int) -> None:
        from attest.monitor.tables import history

        columns = history.c
        for span in SPANS:
            connection.execute(
                history.delete().where(
                    columns.chain_id == self._chain_id, columns.step == span.step,
                    columns.start < now - span.seconds - span.step,
                )
            )  # fmt: skip


def merged(steps: Sequence[Step], seconds: int) -> list[Step]:
    """The same in longer steps of so many seconds."""
    found: list[Step] = []
    for step in steps:
        start = step.start - step.start % seconds
        if found and found[-1].start == start:
            found[-1] = found[-1].then(step)
        else:
            found.append(step._replace(start=start))
    return found
