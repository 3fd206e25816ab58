"""The exposition: what is written is what Prometheus reads back."""

from __future__ import annotations

import math
import re
import subprocess
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.monitor.exposition import Distribution, Metric, Sample, render, shown
from attest.monitor.metrics import CATALOGUE

GAUGE = Metric("attest_test_units", "gauge", 'A "test"\\\nof help.', ("token", "chain"))
SECONDS = Metric("attest_test_seconds", "histogram", "Times.", ("endpoint",))
_LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\.)*",?)*)\})? (\S+)')
_LABEL = re.compile(r'([a-z]+)="((?:[^"\\\n]|\\.)*)"')


def read(text: str) -> list[tuple[str, dict[str, str], float]]:
    """Written apart from the writer, by the format's description."""
    found = []
    for line in text.split("\n"):
        if line and not line.startswith("#"):
            match = _LINE.fullmatch(line)
            assert match is not None, line
            labels = {
                name: re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), value)
                for name, value in _LABEL.findall(match[2] or "")
            }
            found.append((match[1], labels, float(match[3])))
    return found


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8")),
            st.text(st.characters(codec="utf-8")),
            st.integers(-(2**256), 2**256) | st.floats(allow_nan=False) | st.fractions(),
        ),
        unique_by=lambda each: each[:2],
    )
)
def test_render__any_labels_and_numbers__are_read_back(given_: list[tuple[str, str, int | float | Fraction]]) -> None:
    text = render([GAUGE], [Sample(GAUGE, number, (token, chain)) for token, chain, number in given_])
    expected = [("attest_test_units", {"token": t, "chain": c}, float(number)) for t, c, number in given_]
    assert read(text) == expected
    assert text.count("# TYPE") == text.count("# HELP") == bool(given_)


def test_render__lone_surrogate__still_is_utf8() -> None:
    assert render([GAUGE], [Sample(GAUGE, 1, ("\ud800", "x"))]).encode()


def test_render__same_labels_twice__is_refused() -> None:
    with pytest.raises(ValueError, match="two values"):
        render([GAUGE], [Sample(GAUGE, 1, ("a", "b")), Sample(GAUGE, 2, ("a", "b"))])


def test_render__metric_outside_of_the_catalogue__is_refused() -> None:
    with pytest.raises(ValueError, match="not in the catalogue"):
        render([GAUGE], [Sample(SECONDS, Distribution({}, 0, 0), ("a",))])


def test_render__histogram__is_cumulative_and_ends_with_infinity() -> None:
    text = render([SECONDS], [Sample(SECONDS, Distribution({0.5: 2, 30: 3}, 4, 90.25), ("a",))])
    buckets = [(labels["le"], number) for name, labels, number in read(text) if name.endswith("_bucket")]
    assert buckets == [("0.5", 2), ("30", 3), ("+Inf", 4)]
    assert [(name, number) for name, _, number in read(text)][3:] == [
        ("attest_test_seconds_sum", 90.25),
        ("attest_test_seconds_count", 4),
    ]


def test_sample__labels_or_value_of_another_kind__are_refused() -> None:
    with pytest.raises(ValueError, match="labels"):
        Sample(GAUGE, 1, ("only one",))
    with pytest.raises(ValueError, match="is a histogram"):
        Sample(SECONDS, 1, ("a",))


def test_shown__special_numbers__are_as_the_format_has_them() -> None:
    assert [shown(each) for each in (math.inf, -math.inf, math.nan, 0, -1.5, 10**27)] == [
        "+Inf", "-Inf", "NaN", "0", "-1.5", "1e+27",
    ]  # fmt: skip


def test_catalogue__every_name__is_there_once_and_counters_end_with_total() -> None:
    names = [metric.name for metric in CATALOGUE]
    assert len(set(names)) == len(names)
    assert all(name.startswith("attest_") for name in names)
    assert [m.name for m in CATALOGUE if (m.kind == "counter") != m.name.endswith("_total")] == []


@pytest.mark.requires("promtool", "apt-get install prometheus")
def test_catalogue__promtool__finds_nothing_to_correct() -> None:
    hostile = 'a"b\\c\nd{}\u202e'
    samples = [
        Sample(
            metric,
            Distribution({1.0: 1}, 2, 3.5) if metric.kind == "histogram" else 1,
            tuple(hostile for _ in metric.labels),
        )
        for metric in CATALOGUE
    ]
    text = render(CATALOGUE, samples)
    checked = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
