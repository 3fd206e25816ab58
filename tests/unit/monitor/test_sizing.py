"""The runbook's sizing formulas: its own example, every edge, and what must never go down."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.monitor import sizing
from attest.monitor.sizing import Cantilever, Parity, bridge_buffer, exact, stabilization_reserve

AMOUNT = st.integers(0, 2**256)
SECONDS = st.integers(0, 10**7)
FACTOR = st.fractions(1, 10)
RATE = st.fractions(0, 10**30)


def test_stabilization_reserve__runbook_s_example__is_50_000_and_150_000() -> None:
    buffer = stabilization_reserve(10_000, 5 * 60, Fraction(3))
    assert (buffer.minimum, buffer.required) == (50_000, 150_000)


@pytest.mark.parametrize(
    ("reserve", "verdict"),
    [(49_999, "below-minimum"), (50_000, "below-safety"), (149_999, "below-safety"), (150_000, "sufficient")],
)
def test_verdict__just_below_at_and_above__is_exact(reserve: int, verdict: str) -> None:
    assert stabilization_reserve(10_000, 300, Fraction(3)).verdict(reserve) == verdict


def test_bridge_buffer__part_of_a_unit__is_rounded_up() -> None:
    buffer = bridge_buffer(Fraction(1, 3), 100, Fraction(3, 2))
    assert (buffer.minimum, buffer.required) == (34, 50)
    assert bridge_buffer(Fraction(1, 10**40), 1, Fraction(1)).minimum == 1
    assert bridge_buffer(Fraction(0), 100, Fraction(2)).required == 0


def test_bridge_buffer__amounts_beyond_a_float__stay_exact() -> None:
    assert bridge_buffer(Fraction(10**27 + 1), 1, Fraction(1)).required == 10**27 + 1
    assert bridge_buffer(Fraction(10**27), 1, Fraction(1)).verdict(10**27 - 1) == "below-minimum"


@given(RATE, RATE, SECONDS, SECONDS, FACTOR, FACTOR)
def test_buffer__more_outflow_time_or_safety__never_requires_less(
    peak: Fraction, more: Fraction, seconds: int, longer: int, safety: Fraction, safer: Fraction
) -> None:
    least = bridge_buffer(peak, seconds, safety)
    assert least.minimum <= least.required
    assert bridge_buffer(peak + more, seconds, safety).required >= least.required
    assert bridge_buffer(peak, seconds + longer, safety).required >= least.required
    assert bridge_buffer(peak, seconds, max(safety, safer)).required >= least.required


@given(RATE, SECONDS, FACTOR, AMOUNT)
def test_buffer__required__is_the_least_reserve_that_suffices(
    peak: Fraction, seconds: int, safety: Fraction, reserve: int
) -> None:
    buffer = bridge_buffer(peak, seconds, safety)
    assert (buffer.verdict(reserve) == "sufficient") == (reserve >= peak * seconds * safety)
    assert buffer.required - 1 < peak * seconds * safety <= buffer.required


@pytest.mark.parametrize(
    ("peak", "seconds", "safety"),
    [(Fraction(-1), 1, Fraction(1)), (Fraction(1), -1, Fraction(1)), (Fraction(1), 1, Fraction(99, 100))],
)
def test_buffer__number_that_means_nothing__is_refused(peak: Fraction, seconds: int, safety: Fraction) -> None:
    with pytest.raises(ValueError, match=r"negative|at least 1"):
        bridge_buffer(peak, seconds, safety)


@pytest.mark.parametrize(("size", "holds"), [(416, False), (417, True), (418, True)])
def test_cantilever__just_below_at_and_above__is_exact(size: int, holds: bool) -> None:
    found = Cantilever(Fraction(size), Fraction(12), Fraction(5000))
    assert found.holds is holds
    assert found.size_needed == 417


@given(st.integers(0, 10**30), st.fractions(0, 1000), st.integers(0, 10**30))
def test_cantilever__size_needed__is_the_least_that_holds(size: int, frequency: Fraction, imbalance: int) -> None:
    needed = Cantilever(Fraction(size), frequency, Fraction(imbalance)).size_needed
    if needed is None:
        assert frequency == 0
        assert imbalance > 0
        return
    assert Cantilever(Fraction(needed), frequency, Fraction(imbalance)).holds
    if needed:
        assert not Cantilever(Fraction(needed - 1), frequency, Fraction(imbalance)).holds


def test_trade_size__beyond_the_threshold_only__follows_the_deviation() -> None:
    size = [sizing.trade_size(Fraction(500), Fraction(10**5), Fraction(n, 1000), Fraction(1, 100)) for n in (9, 10, 11)]
    assert size == [500, 500, 1100]


@pytest.mark.parametrize(
    ("first", "second", "threshold", "relative", "holds"),
    [
        ("1.0002", "0.9993", "0.001", False, True),
        ("1.0002", "0.9992", "0.001", False, False),  # at the threshold is not below it
        ("0.9992", "1.0002", "0.001", False, False),
        ("2000", "2020", "0.01", True, False),
        ("2000", "2019.99", "0.01", True, True),
    ],
)
def test_parity__difference__must_be_below_the_threshold(
    first: str, second: str, threshold: str, relative: bool, holds: bool
) -> None:
    prices = Fraction(Decimal(first)), Fraction(Decimal(second))
    assert Parity(*prices, Fraction(threshold), relative).holds is holds


@given(st.fractions(Fraction(1, 10**9), 10**9), st.fractions(Fraction(1, 10**9), 10**9))
def test_parity__either_order__is_the_same(first: Fraction, second: Fraction) -> None:
    one, other = Parity(first, second, Fraction(1)), Parity(second, first, Fraction(1))
    assert (one.difference, one.ratio) == (other.difference, other.ratio)


@pytest.mark.parametrize("prices", [(Fraction(0), Fraction(1)), (Fraction(1), Fraction(-1))])
def test_parity__price_of_nothing__is_refused(prices: tuple[Fraction, Fraction]) -> None:
    with pytest.raises(ValueError, match="more than zero"):
        Parity(*prices, Fraction(1))


@given(st.fractions(-(10**20), 10**20))
def test_exact__any_fraction__is_the_same_number_again(value: Fraction) -> None:
    assert Fraction(exact(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [(Fraction(1, 8), "0.125"), (Fraction(-5, 2), "-2.5"), (Fraction(7), "7"), (Fraction(1, 3), "1/3")],
)
def test_exact__number_with_an_end__is_a_decimal(value: Fraction, text: str) -> None:
    assert exact(value) == text
