"""The plots: everything within the picture, from zero, gaps as gaps, and no label over another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import combinations, pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attest.publish.site import plot, svg
from tests.support import feeds

WEEK = timedelta(weeks=1)


def point(week: int, reserve: int | None, supply: int = 100) -> plot.Point:
    surplus = None if reserve is None else reserve - supply
    state = "withheld" if surplus is None else "sufficient" if surplus >= 0 else "short"
    return plot.Point(feeds.NEWEST + week * WEEK, state, reserve, supply, surplus)


def draw(points: Sequence[plot.Point], *, width: int = 720, decimals: int = 0, token: str = "USDW") -> ET.Element:
    return ET.fromstring(
        plot.plot(points, decimals=decimals, token=token, currency="USD", cadence=WEEK, width=width, label="A plot")
    )


def of_class(picture: ET.Element, kind: str) -> list[ET.Element]:
    return [part for part in picture if part.get("class") == kind]


def words_of(picture: ET.Element, kind: str) -> list[str]:
    return [part.text or "" for part in of_class(picture, kind)]


def box(text: ET.Element) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a text at 12 px, 6.2 px a character."""
    width = 6.2 * len(text.text or "")
    x, y = float(text.get("x", "")), float(text.get("y", ""))
    left = x - {"start": 0.0, "middle": width / 2, "end": width}[text.get("text-anchor", "start")]
    return left, y - 9, left + width, y + 3


@st.composite
def series(draw_from: st.DrawFn) -> list[plot.Point]:
    amounts = st.integers(0, 10 ** draw_from(st.integers(0, 30)))
    week, points = 0, []
    for _ in range(draw_from(st.integers(1, 60))):
        week += draw_from(st.sampled_from([1, 1, 1, 1, 1, 2, 5]))
        points.append(point(week, draw_from(st.none() | amounts), draw_from(amounts)))
    return points


@settings(deadline=None, max_examples=60)
@given(points=series(), width=st.sampled_from([340, 720]), decimals=st.sampled_from([0, 2, 6, 18]))
def test_plot__any_series__keeps_everything_inside_and_no_text_over_another(
    points: list[plot.Point], width: int, decimals: int
) -> None:
    picture = draw(points, width=width, decimals=decimals)
    height = float(picture.get("height", ""))
    for part in picture:
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", part.get("d") or "")]
        if "mark" not in (part.get("class") or ""):
            assert all(0 <= x <= width for x in numbers[::2])
            assert all(0 <= y <= height for y in numbers[1::2])
        if part.tag == "rect":
            x, y, w, h = (float(part.get(name, "")) for name in ("x", "y", "width", "height"))
            assert 0 <= x <= x + w <= width
            assert 0 <= y <= y + h <= height
    texts = [(text.text, box(text)) for text in picture if text.tag == "text"]
    for _, (left, top, right, bottom) in texts:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
    for (one, a), (other, b) in combinations(texts, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], (one, other)


def test_plot__drawing__has_nothing_that_the_policy_forbids() -> None:
    text = plot.plot(
        [point(n, 100 + n) for n in range(3)],
        decimals=0,
        token=feeds.HOSTILE,
        currency="USD",
        cadence=WEEK,
        width=720,
        label=feeds.HOSTILE,
    )
    picture = ET.fromstring(text)
    assert picture.get("aria-label") == feeds.HOSTILE
    assert {part.tag for part in picture.iter()} <= {"svg", "path", "text", "circle", "rect"}
    allowed = {"class", "d", "transform", "x", "y", "width", "height", "cx", "cy", "r", "text-anchor"}
    assert {name for part in picture for name in part.attrib} <= allowed


def test_plot__reserve_withheld__breaks_its_line_and_keeps_the_supply() -> None:
    picture = draw([point(0, 101), point(1, 101), point(2, None), point(3, 101), point(4, 101)])
    assert len(of_class(picture, "reserve")) == 2
    assert len(of_class(picture, "supply")) == 1
    assert len(of_class(picture, "band")) == 2, "one in each panel"
    assert words_of(picture, "lane") == ["withheld"]
    assert len(of_class(picture, "surplus")) == 4


def test_plot__weeks_without_attestation__break_both_lines_and_say_missing() -> None:
    picture = draw([point(0, 101), point(1, 101), point(4, 101), point(5, 101)])
    assert len(of_class(picture, "reserve")) == len(of_class(picture, "supply")) == 2
    assert words_of(picture, "lane") == ["missing"]


def test_plot__short_periods__are_marked_and_hang_below_zero() -> None:
    picture = draw([point(0, 101), point(1, 99), point(2, 98), point(3, 101)])
    assert words_of(picture, "lane") == ["short"]
    assert len(of_class(picture, "mark")) == 2
    zero = max(float(line.get("d", "").split("L")[0].split()[1]) for line in of_class(picture, "zero"))
    assert all(float(bar.get("y", "")) >= zero for bar in of_class(picture, "shortfall"))
    assert len(of_class(picture, "shortfall")) == 2


def test_plot__short_beside_withheld_without_room__keeps_the_graver_mark() -> None:
    points = [point(n, 101) for n in range(60)]
    points[30], points[31] = point(30, None), point(31, 99)
    picture = draw(points, width=340)
    (mark,) = of_class(picture, "mark")
    assert mark.get("d") == plot.MARKS["short"]
    assert words_of(picture, "lane") == ["withheld, short"]


def test_plot__newest_withheld__labels_the_reserve_where_it_was_last_known() -> None:
    picture = draw([point(0, 101), point(1, 101), point(2, 101), point(3, None)])
    (reserve,), (supply,) = of_class(picture, "reserve-label"), of_class(picture, "supply-label")
    assert float(reserve.get("x", "")) < float(supply.get("x", ""))


def test_plot__never_a_reserve__has_no_label_for_it() -> None:
    picture = draw([point(0, None), point(1, None)])
    assert not of_class(picture, "reserve-label")
    assert len(of_class(picture, "supply-label")) == 1


def test_plot__reserve_below_supply__puts_its_label_below() -> None:
    picture = draw([point(0, 50), point(1, 50)])
    (reserve,), (supply,) = of_class(picture, "reserve-label"), of_class(picture, "supply-label")
    assert float(reserve.get("y", "")) > float(supply.get("y", ""))


def test_plot__one_period__is_two_dots_and_no_line() -> None:
    picture = draw([point(0, 101)])
    assert not of_class(picture, "reserve") + of_class(picture, "supply")
    assert len(of_class(picture, "reserve-dot")) == len(of_class(picture, "supply-dot")) == 1


def test_plot__amounts__are_drawn_in_proportion_from_zero() -> None:
    picture = draw([point(0, 100, 25)])
    (reserve,), (supply,) = of_class(picture, "reserve-dot"), of_class(picture, "supply-dot")
    zero = float(of_class(picture, "zero")[0].get("d", "").split("L")[0].split()[1])
    heights = [zero - float(dot.get("cy", "")) for dot in (reserve, supply)]
    assert heights[0] == pytest.approx(4 * heights[1], abs=0.5)


def test_plot__axes__name_their_units() -> None:
    titles = words_of(draw([point(0, 1_204_113, 1_200_000)]), "axis-title")
    assert titles == ["Amount, million USD / USDW", "Surplus, USD"]


@given(low=st.integers(-(10**30), 0), high=st.integers(1, 10**30), most=st.integers(2, 6))
def test_ticks__any_range__are_few_round_even_and_hold_zero(low: int, high: int, most: int) -> None:
    found = svg.ticks(low, high, most)
    assert 1 <= len(found) <= most + 1
    assert 0 in found
    assert low <= found[0]
    assert found[-1] <= high
    steps = {b - a for a, b in pairwise(found)}
    assert len(steps) <= 1
    assert all(re.fullmatch(r"[125]0*", str(step)) for step in steps)


@pytest.mark.parametrize(
    ("highest", "decimals", "expected"),
    [
        (9_999, 0, (0, "")),
        (10_000, 0, (3, "thousand ")),
        (1_200_000_000_000, 6, (6, "million ")),
        (10**12, 0, (12, "trillion ")),
        (2**256 - 1, 18, (57, "10⁵⁷ ")),
        (5 * 10**14, 18, (-6, "10⁻⁶ ")),
        (1, 2, (-2, "10⁻² ")),
        (12, 2, (0, "")),
    ],
)
def test_scale__large_and_small__has_short_numbers(highest: int, decimals: int, expected: tuple[int, str]) -> None:
    assert svg.scale(highest, decimals) == expected


@pytest.mark.parametrize(
    ("value", "decimals", "power", "said"),
    [
        (1_500_000, 0, 6, "1.5"),
        (-20_000, 0, 3, "\N{MINUS SIGN}20"),
        (5_000_00, 2, 0, "5,000"),
        (0, 2, 0, "0"),
        (3, 2, -2, "3"),
    ],
)
def test_tick_text__is_exact_and_grouped(value: int, decimals: int, power: int, said: str) -> None:
    assert svg.tick_text(value, decimals, power) == said


def test_plot__cutoffs_in_any_zone__are_labelled_by_their_utc_day() -> None:
    odd = plot.Point(datetime.fromisoformat("2026-11-23T00:59:00+01:00"), "sufficient", 1, 1, 0)
    assert "22 Nov" in words_of(draw([odd]), "tick")
