"""Metrics as Prometheus reads them (text exposition format 0.0.4). Pure.

Values that stand for amounts arrive as exact ints or fractions; what becomes a float here is only the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, TypeAlias

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

MetricKind: TypeAlias = Literal["gauge", "counter", "histogram"]
Number: TypeAlias = int | float | Fraction


@dataclass(frozen=True)
class Metric:
    """What is known of a metric before it has a value: its kind, its help, and the labels that every value has."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Distribution:
    """A histogram's value: observations at most as large as each of the bounds, how many in all, and their sum."""

    buckets: Mapping[float, int]
    count: int
    sum: float


@dataclass(frozen=True)
class Sample:
    """One value of a metric; its labels in the metric's order."""

    metric: Metric
    value: Number | Distribution
    labels: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.metric.labels):
            raise ValueError(f"{self.metric.name} has the labels {self.metric.labels}, not {len(self.labels)} of them")
        if isinstance(self.value, Distribution) != (self.metric.kind == "histogram"):
            raise ValueError(f"{self.metric.name} is a {self.metric.kind}")

    @property
    def named(self) -> dict[str, str]:
        """The labels by their names."""
        return dict(zip(self.metric.labels, self.labels, strict=True))


class Values:
    """Samples by metric and labels; histograms are left out."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._values: dict[str, dict[tuple[str, ...], Number]] = {}
        for sample in samples:
            if not isinstance(sample.value, Distribution):
                self._values.setdefault(sample.metric.name, {})[sample.labels] = sample.value

    def each(self, metric: Metric) -> Iterator[tuple[tuple[str, ...], Number]]:
        yield from self._values.get(metric.name, {}).items()

    def get(self, metric: Metric, *labels: str) -> Number | None:
        return self._values.get(metric.name, {}).get(labels)


def render(catalogue: Sequence[Metric], samples: Iterable[Sample]) -> str:
    """The exposition: the catalogue's metrics in its order, each with its samples; metrics without any are left out.

    Raises ``ValueError`` where two samples have the same name and labels, which Prometheus would refuse altogether.
    """
    by_metric: dict[str, dict[tuple[str, ...], Sample]] = {}
    for sample in samples:
        place = by_metric.setdefault(sample.metric.name, {})
        if sample.labels in place:
            raise ValueError(f"{sample.metric.name}{sample.labels} has two values")
        place[sample.labels] = sample
    lines = []
    for metric in catalogue:
        found = by_metric.pop(metric.name, None)
        if found is None:
            continue
        lines.append(f"# HELP {metric.name} {_escaped(metric.help)}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        for sample in found.values():
            lines += _lines(sample)
    if by_metric:
        raise ValueError(f"{', '.join(by_metric)}: not in the catalogue")
    return "".join(f"{line}\n" for line in lines)


def _lines(sample: Sample) -> list[str]:
    name, labels = sample.metric.name, list(sample.named.items())
    if not isinstance(sample.value, Distribution):
        return [f"{name}{_labels(labels)} {shown(sample.value)}"]
    buckets = [*sample.value.buckets.items(), (math.inf, sample.value.count)]
    return [
        *(f"{name}_bucket{_labels([*labels, ('le', shown(bound))])} {count}" for bound, count in buckets),
        f"{name}_sum{_labels(labels)} {shown(sample.value.sum)}",
        f"{name}_count{_labels(labels)} {sample.value.count}",
    ]


def shown(value: Number) -> str:
    """A number as the format has it: the nearest float, in its shortest form."""
    plain = float(value)
    if math.isinf(plain):
        return "+Inf" if plain > 0 else "-Inf"
    if math.isnan(plain):
        return "NaN"
    return repr(int(plain)) if plain.is_integer() and abs(plain) < 2**53 else repr(plain)


def _labels(labels: Sequence[tuple[str, str]]) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{_escaped(_clean(value), quotes=True)}"' for name, value in labels)
    return "{" + ",".join(pairs) + "}"


def _clean(value: str) -> str:
    """Without lone surrogates, which no UTF-8 can hold."""
    return value.encode("utf-8", "replace").decode()


def _escaped(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text
