"""Which numbers of a cycle the page plots, as integers: amounts in base units, shares in hundredths of a percent, times
in seconds, request times in milliseconds. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import islice

from attest.monitor import metrics
from attest.monitor.exposition import Distribution, Metric, Sample, Values

#: So many tokens, currencies, chains and endpoints have a history; of the others only the present is told.
MOST = 50
#: Hundredths of a percent in a share of 1.
WHOLE = 10_000


def reserve(token: str) -> str:
    return f"reserve/{token}"


def supply(token: str) -> str:
    return f"supply/{token}"


def surplus(token: str) -> str:
    return f"surplus/{token}"


def bridge_reserve(token: str) -> str:
    return f"bridge-reserve/{token}"


def bridge_required(token: str) -> str:
    return f"bridge-required/{token}"


def price_age(currency: str) -> str:
    return f"price-age/{currency}"


def head_age(chain: str) -> str:
    return f"head-age/{chain}"


def request_time(chain: str, endpoint: str) -> str:
    return f"request-time/{chain}/{endpoint}"


HEALTH, SUCCESS, LATENCY, PENDING = "vault-health", "bridge-success", "bridge-latency", "bridge-pending"


class Readings:
    """Takes the numbers from cycle after cycle: the time of a request is an average since the cycle before."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, ...], tuple[int, float]] = {}

    def take(self, samples: Sequence[Sample], now: int) -> dict[str, int]:
        """The number of each series at ``now`` (Unix seconds)."""
        values = Values(samples)
        return {
            **dict(_tokens(values)),
            **dict(_vaults(values, now)),
            **dict(_bridge(values, now)),
            **dict(_ages(values, metrics.HEAD_TIME, head_age, now)),
            **dict(self._request_times(samples)),
        }

    def _request_times(self, samples: Sequence[Sample]) -> Iterator[tuple[str, int]]:
        found = [each for each in samples if each.metric is metrics.RPC_DURATION]
        for sample in found[:MOST]:
            assert isinstance(sample.value, Distribution)
            count, seconds = self._requests.get(sample.labels, (0, 0.0))
            if sample.value.count > count:
                average = (sample.value.sum - seconds) / (sample.value.count - count)
                yield request_time(*sample.labels), round(average * 1000)
            self._requests[sample.labels] = (sample.value.count, sample.value.sum)


def _tokens(values: Values) -> Iterator[tuple[str, int]]:
    for metric, series in ((metrics.RESERVE, reserve), (metrics.SUPPLY, supply), (metrics.SURPLUS, surplus)):
        for (token,), units in islice(values.each(metric), MOST):
            yield series(token), int(units)


def _vaults(values: Values, now: int) -> Iterator[tuple[str, int]]:
    health = values.get(metrics.HEALTH_MIN)
    if health is not None and math.isfinite(health):
        yield HEALTH, math.floor(health * WHOLE)
    yield from _ages(values, metrics.PRICE_UPDATED, price_age, now)


def _bridge(values: Values, now: int) -> Iterator[tuple[str, int]]:
    settled, failed = (values.get(metrics.ENDED, "hour", outcome) for outcome in ("settled", "failed"))
    if settled is not None and failed is not None and settled + failed > 0:
        yield SUCCESS, int(settled) * WHOLE // int(settled + failed)
    latencies = [latency for _, latency in values.each(metrics.LATENCY)]
    if latencies:
        yield LATENCY, math.ceil(max(latencies))
    pending = values.get(metrics.OLDEST_PENDING)
    if pending is not None:
        yield PENDING, max(0, now - int(pending))
    elif latencies:
        yield PENDING, 0
    for (token,), units in islice(values.each(metrics.BRIDGE_RESERVE), MOST):
        yield bridge_reserve(token), int(units)
        required = bridge_minimum(values, token)
        if required is not None:
            yield bridge_required(token), required


def bridge_minimum(values: Values, token: str) -> int | None:
    """Peak outflow x latency x safety factor, rounded up to base units; None before all three are known."""
    return _product(values, token, metrics.PEAK_OUTFLOW, metrics.LATENCY, metrics.SAFETY)


def bridge_bare_minimum(values: Values, token: str) -> int | None:
    """Peak outflow x latency, without a margin, rounded up to base units; None before both are known."""
    return _product(values, token, metrics.PEAK_OUTFLOW, metrics.LATENCY)


def _product(values: Values, token: str, *asked: Metric) -> int | None:
    factors = [values.get(metric, token) for metric in asked]
    known = [Fraction(factor) for factor in factors if factor is not None]
    return math.ceil(math.prod(known)) if len(known) == len(factors) else None


def _ages(values: Values, metric: Metric, series: Callable[[str], str], now: int) -> Iterator[tuple[str, int]]:
    for (name,), at in islice(values.each(metric), MOST):
        yield series(name), max(0, now - int(at))
