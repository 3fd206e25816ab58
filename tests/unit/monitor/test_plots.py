"""Plots of the history: every number in its place, gaps as gaps, names that do not lie on each other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.monitor.history import Step
from attest.monitor.plots import Curve, Limit, Panel, Window, plot

NOW = 1_796_000_000 - 1_796_000_000 % 3600
HOUR = Window(NOW - 3600, NOW, 60, 60)
SVG = "{http://www.w3.org/2000/svg}"


def steps(*numbers: int | None, since: int = NOW - 3600) -> list[Step]:
    return [Step(since + n * 60, v, v, v) for n, v in enumerate(numbers) if v is not None]


def draw(*panels: Panel, window: Window = HOUR, width: int = 432) -> ET.Element:
    text = plot(panels, window, width=width, label="A <plot>")
    assert "style=" not in text
    return ET.fromstring(text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def panel(*curves: Sequence[Step], limits: Sequence[Limit] = (), cut: bool = False) -> Panel:
    named = [Curve(f"curve {n}", f"c/{n}", each) for n, each in enumerate(curves)]
    return Panel("Title", "unit", 0, named, limits, cut=cut)


def of(drawing: ET.Element, kind: str) -> list[ET.Element]:
    return [each for each in drawing.iter() if each.get("class") == kind]


def places(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]


def test_plot__curve__follows_the_last_numbers_and_shades_between_lowest_and_highest() -> None:
    drawn = draw(panel([Step(NOW - 180, 5, 1, 9), Step(NOW - 120, 6, 6, 6), Step(NOW - 60, 5, 0, 10)]))
    (curve,), (shade,) = of(drawn, "curve1"), of(drawn, "range1")
    (_, first), (_, second), (_, third) = places(curve.attrib["d"])
    assert first == third > second
    heights = [y for _, y in places(shade.attrib["d"])]
    assert len(heights) == 6
    assert min(heights) < second < max(heights)


def test_plot__numbers_that_did_not_change__are_not_shaded() -> None:
    assert of(draw(panel(steps(1, 2, 3))), "range1") == []


def test_plot__gap__breaks_the_curve_and_is_grey() -> None:
    drawn = draw(panel(steps(*[1] * 20, *[None] * 10, *[1] * 30)))
    assert len(of(drawn, "curve1")) == 2
    (band,) = of(drawn, "band")
    assert float(band.attrib["width"]) == pytest.approx((432 - 54 - 20 - 7 * 7) / 6, abs=1)


def test_plot__time_before_the_first_number__is_grey_and_one_number_is_a_dot() -> None:
    drawn = draw(panel(steps(1, since=NOW - 60)))
    assert len(of(drawn, "band")) == 1
    assert len(of(drawn, "dot1")) == 1


def test_plot__curve_that_lacks_what_another_has__is_broken_and_not_grey() -> None:
    drawn = draw(panel(steps(*[1] * 60), steps(*[2] * 20, *[None] * 10, *[2] * 30)))
    assert (len(of(drawn, "curve1")), len(of(drawn, "curve2")), len(of(drawn, "band"))) == (1, 2, 0)


def test_plot__interval_longer_than_a_step__is_no_gap() -> None:
    sparse = [Step(NOW - 3600 + n * 300, 1, 1, 1) for n in range(12)]
    assert len(of(draw(panel(sparse), window=Window(NOW - 3600, NOW, 60, 600)), "curve1")) == 1


def test_plot__limit__is_a_line_in_its_place_with_its_name() -> None:
    drawn = draw(panel(steps(130, 90, 130), limits=[Limit(110, "at <110>")], cut=True))
    (limit,), (curve,) = of(drawn, "limit"), of(drawn, "curve1")
    (_, level), *_ = places(limit.attrib["d"])
    heights = [y for _, y in places(curve.attrib["d"])]
    assert heights[1] > level > heights[0]
    assert "at <110>" in {each.text for each in of(drawn, "limit-label")}


@given(
    curves=st.lists(st.lists(st.integers(-(2**255), 2**256), min_size=1, max_size=8), min_size=1, max_size=6),
    cut=st.booleans(),
    width=st.sampled_from([300, 432]),
)
def test_plot__any_numbers__lie_inside_and_names_apart(curves: list[list[int]], cut: bool, width: int) -> None:
    drawn = draw(panel(*(steps(*each) for each in curves), cut=cut), width=width)
    height = float(drawn.attrib["height"])
    for each in drawn.iter():
        for x, y in places(each.get("d", "")):
            assert 0 <= x <= width
            assert 0 <= y <= height
    heights = sorted(
        float(text.attrib["y"]) for text in drawn.iter(f"{SVG}text") if text.get("class", "").startswith("name")
    )
    assert len(heights) == len(curves)
    assert all(b - a > 14.9 for a, b in pairwise(heights))


def test_plot__hostile_and_long_names__are_text_and_cut() -> None:
    hostile = Curve("<script>" * 9, "x", steps(1, 2))
    drawn = draw(Panel("<b>", "&", 0, [hostile]))
    (name,) = of(drawn, "name1")
    assert name.text == "<script><script…"
    assert drawn.attrib["aria-label"] == "A <plot>"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(7200, ["10:00", "10:30"]), (86_400, ["08:00", "12:00", "16:00", "20:00"]), (7 * 86_400, ["26 Nov", "28 Nov"])],
)
def test_plot__times__are_round_and_in_utc(seconds: int, expected: list[str]) -> None:
    at = 1_796_039_000  # Mon 30 Nov 2026
    drawn = draw(panel([Step(at - 60, 1, 1, 1)]), window=Window(at - seconds, at, 60, 60))
    words = [text.text or "" for text in drawn.iter(f"{SVG}text") if text.get("text-anchor") == "middle"]
    assert set(expected) <= set(words)
