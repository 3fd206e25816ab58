"""Which numbers of a cycle are plotted, and that they stay exact."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from attest.monitor import metrics, series
from attest.monitor.exposition import Distribution, Number, Sample
from attest.monitor.series import Readings

NOW = 1_796_000_000


def take(*samples: Sample) -> dict[str, int]:
    return Readings().take(samples, NOW)


def test_take__amounts__are_exact() -> None:
    reserve, supply = 10**27, 10**27 - 1
    assert take(
        Sample(metrics.RESERVE, reserve, ("USDW",)),
        Sample(metrics.SUPPLY, supply, ("USDW",)),
        Sample(metrics.SURPLUS, reserve - supply, ("USDW",)),
        Sample(metrics.BRIDGE_RESERVE, reserve, ("USDW",)),
    ) == {"reserve/USDW": reserve, "supply/USDW": supply, "surplus/USDW": 1, "bridge-reserve/USDW": reserve}


@pytest.mark.parametrize(
    ("health", "expected"),
    [(Fraction(119_999, 100_000), 11_999), (Fraction(12, 10), 12_000), (Fraction(0), 0), (math.inf, None)],
)
def test_take__health__is_rounded_down_and_nothing_without_debt(health: Number, expected: int | None) -> None:
    assert take(Sample(metrics.HEALTH_MIN, health)).get(series.HEALTH) == expected


@pytest.mark.parametrize(("settled", "failed", "expected"), [(19, 1, 9500), (2, 1, 6666), (0, 3, 0), (0, 0, None)])
def test_take__bridge__is_a_share_of_what_ended_if_anything_did(
    settled: int, failed: int, expected: int | None
) -> None:
    found = take(
        Sample(metrics.ENDED, settled, ("hour", "settled")),
        Sample(metrics.ENDED, failed, ("hour", "failed")),
        Sample(metrics.ENDED, 7, ("day", "failed")),
    )
    assert found.get(series.SUCCESS) == expected


def test_take__required_reserve__is_rounded_up_and_needs_all_three_factors() -> None:
    factors = [
        Sample(metrics.BRIDGE_RESERVE, 5, ("USDW",)),
        Sample(metrics.PEAK_OUTFLOW, Fraction(10**30, 3), ("USDW",)),
        Sample(metrics.LATENCY, 17, ("USDW",)),
        Sample(metrics.SAFETY, Fraction(2), ("USDW",)),
    ]
    assert take(*factors)[series.bridge_required("USDW")] == -(-(10**30) * 34 // 3)
    for missing in factors[1:]:
        assert series.bridge_required("USDW") not in take(*(each for each in factors if each is not missing))


def test_take__ages__are_never_negative() -> None:
    assert take(
        Sample(metrics.PRICE_UPDATED, NOW - 61, ("USDW",)),
        Sample(metrics.HEAD_TIME, NOW + 5, ("main",)),
        Sample(metrics.OLDEST_PENDING, NOW - 9),
    ) == {"price-age/USDW": 61, "head-age/main": 0, "bridge-pending": 9}


def test_take__nothing_pending_at_the_bridge__is_zero_seconds() -> None:
    found = take(Sample(metrics.LATENCY, 17, ("USDW",)), Sample(metrics.LATENCY, Fraction(35, 2), ("EURW",)))
    assert found == {series.LATENCY: 18, series.PENDING: 0}


def test_take__request_time__is_the_average_since_the_cycle_before() -> None:
    def duration(count: int, seconds: float) -> Sample:
        return Sample(metrics.RPC_DURATION, Distribution({}, count, seconds), ("main", "http://node"))

    readings, name = Readings(), series.request_time("main", "http://node")
    assert readings.take([duration(0, 0.0)], NOW) == {}
    assert readings.take([duration(2, 1.0)], NOW) == {name: 500}
    assert readings.take([duration(4, 1.5)], NOW) == {name: 250}
    assert readings.take([duration(4, 1.5)], NOW) == {}, "nothing was asked in this cycle"


def test_take__more_tokens_than_are_kept__is_bounded() -> None:
    found = take(*(Sample(metrics.SUPPLY, n, (f"T{n}",)) for n in range(500)))
    assert len(found) == series.MOST
