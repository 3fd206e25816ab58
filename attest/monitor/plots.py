"""Plots of the history as SVG: panels of curves on one time axis, each with its unit and its limits (why no library:
docs/adr/0001-plots.md).

A curve follows the last number of each step; what lies between a step's lowest and highest is shaded. Where nothing was
read, the curve is broken and the panel grey. Names stand at the curves' ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import pairwise

from attest.monitor.history import Step
from attest.monitor.thresholds import DAY, HOUR
from attest.publish.site import svg
from attest.publish.site.svg import LABEL_HEIGHT, TENTHS, px
from attest.publish.site.words import day

#: More curves in one panel cannot be told from each other.
CURVES = 6
_TOP, _LEFT, _GAP, _BOTTOM = 26, 54, 42, 26
_LONGEST = 16
#: Seconds between two times on the axis, by the longest window for which they fit.
_TIMES = ((3 * HOUR, 1800), (DAY, 4 * HOUR))


@dataclass(frozen=True)
class Curve:
    """What a curve is called, the series that it is of, and that one's steps once they were read; its unit where the
    panel has several."""

    name: str
    series: str
    steps: Sequence[Step] = ()
    unit: str | None = None


@dataclass(frozen=True)
class Limit:
    """A number that a curve should not reach, and what it is called."""

    value: int
    name: str


@dataclass(frozen=True)
class Panel:
    """Curves in one unit, of which their integers have so many ``decimals``. Its axis begins at zero, unless it is
    ``cut``: then where the numbers begin. ``most`` is the highest number that there can be."""

    title: str
    unit: str
    decimals: int
    curves: Sequence[Curve]
    limits: Sequence[Limit] = ()
    cut: bool = False
    most: int | None = None
    height: int = 150

    @property
    def numbers(self) -> list[int]:
        return [number for curve in self.curves for step in curve.steps for number in (step.low, step.high)]


@dataclass(frozen=True)
class Window:
    """The time shown, Unix seconds; ``step`` is how long a step is, ``apart`` how far two of them are at most when
    nothing is missing."""

    since: int
    until: int
    step: int
    apart: int


def cut_name(name: str) -> str:
    """A name as it has room at a curve."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def plot(panels: Sequence[Panel], window: Window, *, width: int, label: str) -> str:
    """SVG of ``panels`` (each with a number at least), one above the other, ``width`` px wide at its natural size.
    ``label`` describes the picture to those who cannot see it."""
    drawing = _Drawing(panels, window, width)
    body = "".join(drawing.parts())
    box = f'viewBox="0 0 {width} {drawing.height}" width="{width}" height="{drawing.height}"'
    return f'<svg class="plot" role="img" aria-label="{escape(label)}" {box}>{body}</svg>'


class _Drawing:
    def __init__(self, panels: Sequence[Panel], window: Window, width: int) -> None:
        self.window = window
        longest = max(len(cut_name(curve.name)) for panel in panels for curve in panel.curves if curve.steps)
        self.left, self.right = _LEFT * TENTHS, (width - 20 - longest * svg.CHARACTER) * TENTHS
        self.panels: list[tuple[Panel, svg.Axis]] = []
        top = _TOP
        for panel in panels:
            low, high = _range(panel)
            self.panels.append((panel, svg.Axis(low, high, top * TENTHS, (top + panel.height) * TENTHS)))
            top += panel.height + _GAP
        self.height = top - _GAP + _BOTTOM

    def x(self, at: int) -> int:
        since, until = self.window.since, self.window.until
        return self.left + (self.right - self.left) * (min(max(at, since), until) - since) // (until - since)

    def middle(self, step: Step) -> int:
        return self.x(step.start + self.window.step // 2)

    def broken(self, before: int, after: int) -> bool:
        """Whether a step is missing between two that began then."""
        return 2 * (after - before) > 3 * self.window.apart

    # -- parts, back to front ------------------------------------------------------------------------------------

    def parts(self) -> Iterator[str]:
        for panel, axis in self.panels:
            yield from self.bands(panel, axis)
            yield from axis.drawn(
                self.left, self.right, title=panel.title, unit=panel.unit, decimals=panel.decimals,
                most=4 if panel.height > 100 else 2, title_y=axis.top - 12 * TENTHS,
            )  # fmt: skip
            for number, curve in enumerate(panel.curves, 1):
                for run in self.runs(curve.steps):
                    yield from self.range(run, axis, number)
            for number, curve in enumerate(panel.curves, 1):
                for run in self.runs(curve.steps):
                    yield from self.curve(run, axis, number)
            yield from self.limits(panel, axis)
            yield from self.names(panel, axis)
        yield from self.times()

    def bands(self, panel: Panel, axis: svg.Axis) -> Iterator[str]:
        """Grey where no curve has a number."""
        starts = sorted({step.start for curve in panel.curves for step in curve.steps})
        edges = [(self.window.since, starts[0]), (starts[-1] + self.window.step, self.window.until)]
        edges += [
            (before + self.window.step, after) for before, after in pairwise(starts) if self.broken(before, after)
        ]
        for since, until in edges:
            x1, x2 = self.x(since), self.x(until)
            if x2 > x1:
                size = f'width="{px(x2 - x1)}" height="{px(axis.bottom - axis.top)}"'
                yield f'<rect x="{px(x1)}" y="{px(axis.top)}" {size} class="band"/>'

    def runs(self, steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
        """Steps that follow each other."""
        first = 0
        for index, (before, after) in enumerate(pairwise(steps), 1):
            if self.broken(before.start, after.start):
                yield steps[first:index]
                first = index
        if steps:
            yield steps[first:]

    def range(self, run: Sequence[Step], axis: svg.Axis, number: int) -> Iterator[str]:
        if len(run) > 1 and any(step.low != step.high for step in run):
            there = [f"{px(self.middle(step))} {px(axis.y(step.high))}" for step in run]
            back = [f"{px(self.middle(step))} {px(axis.y(step.low))}" for step in reversed(run)]
            yield f'<path d="M{"L".join(there + back)}z" class="range{number}"/>'

    def curve(self, run: Sequence[Step], axis: svg.Axis, number: int) -> Iterator[str]:
        places = [(self.middle(step), axis.y(step.last)) for step in run]
        if len(places) == 1:
            ((x, y),) = places
            yield f'<circle cx="{px(x)}" cy="{px(y)}" r="3" class="dot{number}"/>'
        else:
            yield f'<path d="M{"L".join(f"{px(x)} {px(y)}" for x, y in places)}" class="curve{number}"/>'

    def limits(self, panel: Panel, axis: svg.Axis) -> Iterator[str]:
        for number, limit in enumerate(panel.limits):
            y = axis.y(limit.value)
            yield svg.line(self.left, y, self.right, y, "limit")
            # Side by side: two limits may lie too close for one above the other.
            x = self.left + (self.right - self.left) * number // len(panel.limits) + 4 * TENTHS
            yield svg.text(x, y - 4 * TENTHS, limit.name, "limit-label")

    def names(self, panel: Panel, axis: svg.Axis) -> Iterator[str]:
        ends = [
            (axis.y(curve.steps[-1].last), number, self.middle(curve.steps[-1]), curve.name)
            for number, curve in enumerate(panel.curves, 1)
            if curve.steps
        ]
        for (y, number, x, name), label_y in zip(
            sorted(ends), _apart([y for y, *_ in sorted(ends)], axis), strict=True
        ):
            yield svg.line(x + 3 * TENTHS, y, self.right + 9 * TENTHS, label_y, "leader")
            yield svg.text(self.right + 12 * TENTHS, label_y + 40, cut_name(name), f"name{number}")

    def times(self) -> Iterator[str]:
        """Times in UTC below the last panel; days where the window is longer than one."""
        y = self.panels[-1][1].bottom + 17 * TENTHS
        long = self.window.until - self.window.since
        every = next((seconds for most, seconds in _TIMES if long <= most), DAY)
        yield svg.text(0, y, "UTC", "tick")
        last = None
        for at in range(self.window.until - self.window.until % every, self.window.since - 1, -every):
            x = self.x(at)
            if last is None or last - x >= 48 * TENTHS:
                last = x
                moment = datetime.fromtimestamp(at, UTC)
                yield svg.line(x, y - 17 * TENTHS, x, y - 12 * TENTHS, "zero")
                yield svg.text(x, y, day(moment)[0] if every == DAY else f"{moment:%H:%M}", "tick", "middle")


def _range(panel: Panel) -> tuple[int, int]:
    """Where a panel's axis begins and ends: there is room above the highest, and below the lowest unless it is
    zero."""
    numbers = [*panel.numbers, *(limit.value for limit in panel.limits)]
    low, high = min(numbers), max(numbers)
    if not panel.cut:
        low, high = min(0, low), max(0, high)
    if low == high:
        high = low + 10**panel.decimals
    room = -(-(high - low) // 8)
    if low:
        low = low - room if low < 0 else max(0, low - room)
    return low, high + room if panel.most is None else min(high + room, panel.most)


def _apart(ys: Sequence[int], axis: svg.Axis) -> list[int]:
    """Sorted heights of names, moved so far that none lies on another and none below the axis."""
    found: list[int] = []
    for y in ys:
        found.append(max(y, found[-1] + LABEL_HEIGHT * TENTHS) if found else y)
    for index in range(len(found) - 1, -1, -1):
        below = axis.bottom if index == len(found) - 1 else found[index + 1] - LABEL_HEIGHT * TENTHS
        found[index] = min(found[index], below)
    return found
