"""A plot of reserve and supply over time, made at build time.

Two panels share one time axis. The upper one shows both amounts from zero; as they mostly lie a fraction of a percent
apart, the lower one shows their difference on a zero-based axis of its own. Labels stand at the lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from itertools import groupby, pairwise

from attest.documents import TokenState
from attest.publish.site import svg
from attest.publish.site.words import day

#: Marks of the states in a 12 x 12 box; the page draws the same ones beside the words.
MARKS = {
    "sufficient": "M6 1a5 5 0 1 0 .001 0z",
    "short": "M.5 1.5h11L6 11.5z",
    "withheld": "M6 1a5 5 0 1 0 .001 0zM6 2.6a3.4 3.4 0 1 1-.001 0z",
    "stale": "M6 1a5 5 0 1 0 .001 0zM6 2.6a3.4 3.4 0 0 1 0 6.8z",
}

_TOP, _LEFT, _RIGHT = 20, 54, 66
_LANE, _MAIN, _GAP, _DIFFERENCE, _BOTTOM = 30, 180, 40, 84, 40
_LONGEST_UNIT = 24


@dataclass(frozen=True)
class Point:
    """One period of one token. Amounts in token base units; ``reserve`` and ``surplus`` are None when withheld."""

    at: datetime
    state: TokenState
    reserve: int | None
    supply: int
    surplus: int | None


class _Drawing:
    def __init__(
        self, points: Sequence[Point], decimals: int, token: str, currency: str, cadence: timedelta, width: int
    ) -> None:
        self.points = points
        self.decimals = decimals
        self.token = token if len(token) <= _LONGEST_UNIT else token[: _LONGEST_UNIT - 1] + "\N{HORIZONTAL ELLIPSIS}"
        self.currency = currency
        self.cadence = cadence
        self.left, self.right = _LEFT * svg.TENTHS, (width - _RIGHT) * svg.TENTHS
        slot = (self.right - self.left) // len(points)
        self.pad = min(40 * svg.TENTHS, slot // 2)
        self.span = int((points[-1].at - points[0].at).total_seconds())
        inner = self.right - self.left - 2 * self.pad
        self.slot = min(slot, inner * int(cadence.total_seconds()) // self.span) if self.span else 2 * self.pad
        self.missing = [(a, b) for a, b in pairwise(points) if 2 * (b.at - a.at) > 3 * cadence]
        self.runs = self._runs()  # of periods that followed each other
        marked = self.missing or any(point.state != "sufficient" for point in points)
        top = (_TOP + (_LANE if marked else 8)) * svg.TENTHS
        one = 10**decimals  # where there is nothing to show, the axis goes to one token
        highest = max(max(point.reserve or 0, point.supply) for point in points) or one
        self.main = svg.Axis(0, highest + -(-highest * 3 // 20), top, top + _MAIN * svg.TENTHS)
        surpluses = [point.surplus for point in points if point.surplus is not None]
        low, high = min([0, *surpluses]), max([0, *surpluses])
        if low == high:
            high = one
        room = -(-(high - low) // 6)
        below = self.main.bottom + _GAP * svg.TENTHS
        self.difference = svg.Axis(
            low - room if low else 0, high + room if high else 0, below, below + _DIFFERENCE * svg.TENTHS
        )
        self.height = below // svg.TENTHS + _DIFFERENCE + _BOTTOM

    def _runs(self) -> list[list[Point]]:
        first = {after.at for _, after in self.missing}
        runs: list[list[Point]] = [[]]
        for point in self.points:
            if point.at in first:
                runs.append([])
            runs[-1].append(point)
        return runs

    def x(self, at: datetime) -> int:
        inner = self.right - self.left - 2 * self.pad
        if not self.span:
            return self.left + self.pad + inner // 2
        seconds = int((at - self.points[0].at).total_seconds())
        return self.left + self.pad + inner * seconds // self.span

    # -- parts, back to front ------------------------------------------------------------------------------------

    def axis(self, axis: svg.Axis, title: str, unit: str, most: int, title_y: int) -> Iterator[str]:
        yield from axis.drawn(
            self.left, self.right, title=title, unit=unit, decimals=self.decimals, most=most, title_y=title_y
        )

    def band(self, x1: int, x2: int) -> Iterator[str]:
        x1, x2 = max(x1, self.left), min(max(x1, x2), self.right)
        for axis in (self.main, self.difference):
            size = f'width="{svg.px(x2 - x1)}" height="{svg.px(axis.bottom - axis.top)}"'
            yield f'<rect x="{svg.px(x1)}" y="{svg.px(axis.top)}" {size} class="band"/>'

    def bands(self) -> Iterator[str]:
        half = self.slot // 2
        for run in self.runs:
            for state, group in groupby(run, key=lambda point: point.state):
                members = list(group)
                if state == "withheld":
                    edge = max(half, 2 * svg.TENTHS)  # one week of many years is still seen
                    yield from self.band(self.x(members[0].at) - edge, self.x(members[-1].at) + edge)
        for before, after in self.missing:
            yield from self.band(self.x(before.at) + half, self.x(after.at) - half)

    def lane(self) -> Iterator[str]:
        """Marks and words above the plot. Where there is no room for all, the graver and newer ones stay."""
        baseline = self.main.top - 4 * svg.TENTHS
        marked = [point for point in self.points if point.state != "sufficient"]
        marks: list[int] = []
        for point in sorted(marked, key=lambda point: point.state != "short"):
            x = self.x(point.at)
            if all(abs(x - other) >= 9 * svg.TENTHS for other in marks):
                marks.append(x)
                where = f"translate({svg.px(x - 40)} {svg.px(baseline - 80)}) scale(.67)"
                yield f'<path d="{MARKS[point.state]}" transform="{where}" class="mark"/>'
        labels = [(2, -(self.x(a.at) + self.x(b.at)) // 2, "missing") for a, b in self.missing]
        for run in self.runs:
            for sufficient, group in groupby(run, key=lambda point: point.state == "sufficient"):
                members = list(group)
                if not sufficient:
                    names = dict.fromkeys(point.state for point in members)
                    middle = (self.x(members[0].at) + self.x(members[-1].at)) // 2
                    labels.append(("short" not in names, -middle, ", ".join(names)))
        taken: list[tuple[int, int]] = []
        for _, negative, words in sorted(labels):
            half = len(words) * svg.CHARACTER * svg.TENTHS // 2
            x = min(max(-negative, self.left + half), self.right - half)
            if all(x + half <= low or x - half >= high for low, high in taken):
                taken.append((x - half, x + half))
                yield svg.text(x, baseline - 110, words, "lane", "middle")

    def lines(self) -> Iterator[str]:
        dots = self.slot >= 12 * svg.TENTHS
        for run in self.runs:
            held = [(self.x(point.at), point.reserve) for point in run]
            for stated, group in groupby(held, key=lambda pair: pair[1] is not None):
                if stated:
                    yield from self._line([(x, self.main.y(value or 0)) for x, value in group], "reserve", 4, dots)
        for run in self.runs:
            yield from self._line([(self.x(point.at), self.main.y(point.supply)) for point in run], "supply", 2, dots)

    @staticmethod
    def _line(places: Sequence[tuple[int, int]], kind: str, radius: int, dots: bool) -> Iterator[str]:
        if len(places) > 1:
            yield f'<path d="M{"L".join(f"{svg.px(x)} {svg.px(y)}" for x, y in places)}" class="{kind}"/>'
        if dots or len(places) == 1:
            for x, y in places:
                yield f'<circle cx="{svg.px(x)}" cy="{svg.px(y)}" r="{radius}" class="{kind}-dot"/>'

    def end_labels(self) -> Iterator[str]:
        newest = self.points[-1]
        supply = self.main.y(newest.supply)
        if newest.reserve is None:
            yield from self._end_label("Supply", newest, supply, supply)
            held = [point for point in self.points if point.reserve is not None]
            if held:
                x, half = self.x(held[-1].at), len("Reserve") * svg.CHARACTER * svg.TENTHS
                end = x - half > self.left
                y = self.main.y(max(held[-1].reserve or 0, held[-1].supply)) - 9 * svg.TENTHS
                yield svg.text(x, y, "Reserve", "reserve-label", "end" if end else "start")
            return
        reserve = self.main.y(newest.reserve)
        upper, lower = min(reserve, supply), max(reserve, supply)
        push = max(0, svg.LABEL_HEIGHT * svg.TENTHS - (lower - upper))
        upper, lower = upper - push // 2, lower + push - push // 2
        sunk = max(0, lower - self.main.bottom)
        upper, lower = upper - sunk, lower - sunk
        above = reserve <= supply
        yield from self._end_label("Reserve", newest, reserve, upper if above else lower)
        yield from self._end_label("Supply", newest, supply, lower if above else upper)

    def _end_label(self, word: str, point: Point, y: int, label_y: int) -> Iterator[str]:
        x = self.x(point.at)
        yield svg.line(x + 6 * svg.TENTHS, y, x + 14 * svg.TENTHS, label_y, "leader")
        yield svg.text(x + 17 * svg.TENTHS, label_y + 40, word, f"{word.lower()}-label")

    def bars(self) -> Iterator[str]:
        breadth = max(svg.TENTHS, min(20 * svg.TENTHS, self.slot * 3 // 5))
        zero = self.difference.y(0)
        for point in self.points:
            if point.surplus is None:
                continue
            y = self.difference.y(point.surplus)
            top, height = min(y, zero), max(abs(y - zero), svg.TENTHS)
            size = f'width="{svg.px(breadth)}" height="{svg.px(height)}"'
            kind = "shortfall" if point.surplus < 0 else "surplus"
            yield f'<rect x="{svg.px(self.x(point.at) - breadth // 2)}" y="{svg.px(top)}" {size} class="{kind}"/>'

    def dates(self) -> Iterator[str]:
        y = self.difference.bottom + 18 * svg.TENTHS
        last = None
        for point in reversed(self.points):
            x = self.x(point.at)
            if last is None or last - x >= 56 * svg.TENTHS:
                last = x
                date, year = day(point.at)
                yield svg.text(x, y, date, "tick", "middle")
                yield svg.text(x, y + 14 * svg.TENTHS, year, "tick", "middle")

    def parts(self) -> Iterator[str]:
        yield from self.bands()
        yield from self.axis(self.main, "Amount", f"{self.currency} / {self.token}", 4, 12 * svg.TENTHS)
        yield from self.axis(self.difference, "Surplus", self.currency, 2, self.difference.top - 12 * svg.TENTHS)
        yield from self.lane()
        yield from self.bars()
        yield from self.lines()
        yield from self.end_labels()
        yield from self.dates()


def plot(
    points: Sequence[Point],
    *,
    decimals: int,
    token: str,
    currency: str,
    cadence: timedelta,
    width: int,
    label: str,
) -> str:
    """SVG of one token's ``points`` (oldest first, at least one), ``width`` px wide at its natural size.

    Amounts are base units of ``token`` with ``decimals``, one token standing for one ``currency``. A gap longer than
    one and a half ``cadence`` is drawn as one. ``label`` describes the picture to those who cannot see it.
    """
    drawing = _Drawing(points, decimals, token, currency, cadence, width)
    body = "".join(drawing.parts())
    box = f'viewBox="0 0 {width} {drawing.height}" width="{width}" height="{drawing.height}"'
    return f'<svg class="plot" role="img" aria-label="{escape(label)}" {box}>{body}</svg>'
