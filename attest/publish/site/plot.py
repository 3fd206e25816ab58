"""A plot of reserve and supply over time as SVG text, made at build time (why no library: docs/adr/0001-plots.md).

Two panels share one time axis. The upper one shows both amounts from zero; as they mostly lie a fraction of a percent
apart, the lower one shows their difference on a zero-based axis of its own. Labels stand at the lines. Colours come
from the page's style sheet by class, so one drawing serves light, dark and print; there is no ``style`` attribute, no
script and no id.

Amounts stay integers: a coordinate is an integer number of tenths of a pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from itertools import groupby, pairwise

from attest import money
from attest.documents import TokenState
from attest.publish.site.words import day

#: Marks of the states in a 12 x 12 box; the page draws the same ones beside the words.
MARKS = {
    "sufficient": "M6 1a5 5 0 1 0 .001 0z",
    "short": "M.5 1.5h11L6 11.5z",
    "withheld": "M6 1a5 5 0 1 0 .001 0zM6 2.6a3.4 3.4 0 1 1-.001 0z",
    "stale": "M6 1a5 5 0 1 0 .001 0zM6 2.6a3.4 3.4 0 0 1 0 6.8z",
}

_TENTHS = 10
_TOP, _LEFT, _RIGHT = 20, 54, 66
_LANE, _MAIN, _GAP, _DIFFERENCE, _BOTTOM = 30, 180, 40, 84, 40
_CHARACTER = 7  # an upper estimate of a character's width at 12 px
_LABEL_HEIGHT = 15
_NAMED_SCALES = {3: "thousand ", 6: "million ", 9: "billion ", 12: "trillion "}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_LONGEST_UNIT = 24


@dataclass(frozen=True)
class Point:
    """One period of one token. Amounts in token base units; ``reserve`` and ``surplus`` are None when withheld."""

    at: datetime
    state: TokenState
    reserve: int | None
    supply: int
    surplus: int | None


def ticks(low: int, high: int, most: int) -> list[int]:
    """At most ``most`` + 1 round values (1, 2 or 5 times a power of ten) within ``low`` .. ``high``, zero among them if
    it lies there."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            step = factor * power
            first, last = -(-low // step), high // step
            if last - first <= most:
                return [n * step for n in range(first, last + 1)]
        power *= 10


def scale(highest: int, decimals: int) -> tuple[int, str]:
    """The power of ten by which an axis up to ``highest`` base units is divided, and its word: ``(6, "million ")``."""
    digits = len(str(highest)) - decimals  # of the whole part; 0 and below: zeros after the point
    if 0 <= digits <= 4:
        return 0, ""
    power = max((digits - 1) // 3 * 3, -decimals)
    return power, _NAMED_SCALES.get(power, f"10{str(power).translate(_SUPERSCRIPT)} ")


def tick_text(value: int, decimals: int, power: int) -> str:
    """``value`` base units divided by ``10**power`` tokens, exact, grouped, a real minus sign."""
    text = money.Currency("", decimals + power).format(value)
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return money.group(text).replace("-", "\N{MINUS SIGN}")


def _px(tenths: int) -> str:
    """An integer number of tenths as SVG writes it: ``1234`` is ``123.4``."""
    sign, whole, rest = ("-" if tenths < 0 else ""), abs(tenths) // _TENTHS, abs(tenths) % _TENTHS
    return f"{sign}{whole}.{rest}" if rest else f"{sign}{whole}"


def _text(x: int, y: int, words: str, kind: str, anchor: str = "start") -> str:
    where = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{_px(x)}" y="{_px(y)}" class="{kind}"{where}>{escape(words)}</text>'


def _line(x1: int, y1: int, x2: int, y2: int, kind: str) -> str:
    return f'<path d="M{_px(x1)} {_px(y1)}L{_px(x2)} {_px(y2)}" class="{kind}"/>'


@dataclass(frozen=True)
class _Axis:
    """A vertical axis: amounts ``low`` .. ``high`` onto pixels ``bottom`` .. ``top`` (tenths)."""

    low: int
    high: int
    top: int
    bottom: int

    def y(self, value: int) -> int:
        return self.bottom - (value - self.low) * (self.bottom - self.top) // (self.high - self.low)


class _Drawing:
    def __init__(
        self, points: Sequence[Point], decimals: int, token: str, currency: str, cadence: timedelta, width: int
    ) -> None:
        self.points = points
        self.decimals = decimals
        self.token = token if len(token) <= _LONGEST_UNIT else token[: _LONGEST_UNIT - 1] + "\N{HORIZONTAL ELLIPSIS}"
        self.currency = currency
        self.cadence = cadence
        self.left, self.right = _LEFT * _TENTHS, (width - _RIGHT) * _TENTHS
        slot = (self.right - self.left) // len(points)
        self.pad = min(40 * _TENTHS, slot // 2)
        self.span = int((points[-1].at - points[0].at).total_seconds())
        inner = self.right - self.left - 2 * self.pad
        self.slot = min(slot, inner * int(cadence.total_seconds()) // self.span) if self.span else 2 * self.pad
        self.missing = [(a, b) for a, b in pairwise(points) if 2 * (b.at - a.at) > 3 * cadence]
        self.runs = self._runs()  # of periods that followed each other
        marked = self.missing or any(point.state != "sufficient" for point in points)
        top = (_TOP + (_LANE if marked else 8)) * _TENTHS
        one = 10**decimals  # where there is nothing to show, the axis goes to one token
        highest = max(max(point.reserve or 0, point.supply) for point in points) or one
        self.main = _Axis(0, highest + -(-highest * 3 // 20), top, top + _MAIN * _TENTHS)
        surpluses = [point.surplus for point in points if point.surplus is not None]
        low, high = min([0, *surpluses]), max([0, *surpluses])
        if low == high:
            high = one
        room = -(-(high - low) // 6)
        below = self.main.bottom + _GAP * _TENTHS
        self.difference = _Axis(
            low - room if low else 0, high + room if high else 0, below, below + _DIFFERENCE * _TENTHS
        )
        self.height = below // _TENTHS + _DIFFERENCE + _BOTTOM

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

    def axis(self, axis: _Axis, title: str, unit: str, most: int, title_y: int) -> Iterator[str]:
        power, word = scale(max(abs(axis.low), axis.high), self.decimals)
        yield _text(0, title_y, f"{title}, {word}{unit}", "axis-title")
        for value in ticks(axis.low, axis.high, most):
            y = axis.y(value)
            yield _line(self.left, y, self.right, y, "zero" if value == 0 else "grid")
            yield _text(self.left - 80, y + 40, tick_text(value, self.decimals, power), "tick", "end")

    def band(self, x1: int, x2: int) -> Iterator[str]:
        x1, x2 = max(x1, self.left), min(max(x1, x2), self.right)
        for axis in (self.main, self.difference):
            size = f'width="{_px(x2 - x1)}" height="{_px(axis.bottom - axis.top)}"'
            yield f'<rect x="{_px(x1)}" y="{_px(axis.top)}" {size} class="band"/>'

    def bands(self) -> Iterator[str]:
        half = self.slot // 2
        for run in self.runs:
            for state, group in groupby(run, key=lambda point: point.state):
                members = list(group)
                if state == "withheld":
                    edge = max(half, 2 * _TENTHS)  # one week of many years is still seen
                    yield from self.band(self.x(members[0].at) - edge, self.x(members[-1].at) + edge)
        for before, after in self.missing:
            yield from self.band(self.x(before.at) + half, self.x(after.at) - half)

    def lane(self) -> Iterator[str]:
        """Marks and words above the plot. Where there is no room for all, the graver and newer ones stay."""
        baseline = self.main.top - 4 * _TENTHS
        marked = [point for point in self.points if point.state != "sufficient"]
        marks: list[int] = []
        for point in sorted(marked, key=lambda point: point.state != "short"):
            x = self.x(point.at)
            if all(abs(x - other) >= 9 * _TENTHS for other in marks):
                marks.append(x)
                where = f"translate({_px(x - 40)} {_px(baseline - 80)}) scale(.67)"
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
            half = len(words) * _CHARACTER * _TENTHS // 2
            x = min(max(-negative, self.left + half), self.right - half)
            if all(x + half <= low or x - half >= high for low, high in taken):
                taken.append((x - half, x + half))
                yield _text(x, baseline - 110, words, "lane", "middle")

    def lines(self) -> Iterator[str]:
        dots = self.slot >= 12 * _TENTHS
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
            yield f'<path d="M{"L".join(f"{_px(x)} {_px(y)}" for x, y in places)}" class="{kind}"/>'
        if dots or len(places) == 1:
            for x, y in places:
                yield f'<circle cx="{_px(x)}" cy="{_px(y)}" r="{radius}" class="{kind}-dot"/>'

    def end_labels(self) -> Iterator[str]:
        newest = self.points[-1]
        supply = self.main.y(newest.supply)
        if newest.reserve is None:
            yield from self._end_label("Supply", newest, supply, supply)
            held = [point for point in self.points if point.reserve is not None]
            if held:
                x, half = self.x(held[-1].at), len("Reserve") * _CHARACTER * _TENTHS
                end = x - half > self.left
                y = self.main.y(max(held[-1].reserve or 0, held[-1].supply)) - 9 * _TENTHS
                yield _text(x, y, "Reserve", "reserve-label", "end" if end else "start")
            return
        reserve = self.main.y(newest.reserve)
        upper, lower = min(reserve, supply), max(reserve, supply)
        push = max(0, _LABEL_HEIGHT * _TENTHS - (lower - upper))
        upper, lower = upper - push // 2, lower + push - push // 2
        sunk = max(0, lower - self.main.bottom)
        upper, lower = upper - sunk, lower - sunk
        above = reserve <= supply
        yield from self._end_label("Reserve", newest, reserve, upper if above else lower)
        yield from self._end_label("Supply", newest, supply, lower if above else upper)

    def _end_label(self, word: str, point: Point, y: int, label_y: int) -> Iterator[str]:
        x = self.x(point.at)
        yield _line(x + 6 * _TENTHS, y, x + 14 * _TENTHS, label_y, "leader")
        yield _text(x + 17 * _TENTHS, label_y + 40, word, f"{word.lower()}-label")

    def bars(self) -> Iterator[str]:
        breadth = max(_TENTHS, min(20 * _TENTHS, self.slot * 3 // 5))
        zero = self.difference.y(0)
        for point in self.points:
            if point.surplus is None:
                continue
            y = self.difference.y(point.surplus)
            top, height = min(y, zero), max(abs(y - zero), _TENTHS)
            size = f'width="{_px(breadth)}" height="{_px(height)}"'
            kind = "shortfall" if point.surplus < 0 else "surplus"
            yield f'<rect x="{_px(self.x(point.at) - breadth // 2)}" y="{_px(top)}" {size} class="{kind}"/>'

    def dates(self) -> Iterator[str]:
        y = self.difference.bottom + 18 * _TENTHS
        last = None
        for point in reversed(self.points):
            x = self.x(point.at)
            if last is None or last - x >= 56 * _TENTHS:
                last = x
                date, year = day(point.at)
                yield _text(x, y, date, "tick", "middle")
                yield _text(x, y + 14 * _TENTHS, year, "tick", "middle")

    def parts(self) -> Iterator[str]:
        yield from self.bands()
        yield from self.axis(self.main, "Amount", f"{self.currency} / {self.token}", 4, 12 * _TENTHS)
        yield from self.axis(self.difference, "Surplus", self.currency, 2, self.difference.top - 12 * _TENTHS)
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
