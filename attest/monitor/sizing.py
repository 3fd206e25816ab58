"""How large reserves and stabilisation trades must be: the runbook's formulas (section 1.4), exact. Pure.

Amounts are ints in the smallest unit (a token's base units, a currency's cents), rates are fractions of them per
second, times are ints of seconds. What is required is rounded up, what is there is not rounded: nothing is called
sufficient that is not.

Every function raises ``ValueError`` for a number that means nothing (negative, a factor below 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from attest.monitor.thresholds import MINUTE
from attest.records import Amount

ReserveVerdict = Literal["sufficient", "below-safety", "below-minimum"]

#: What the runbook recommends, of the peak outflow.
BRIDGE_SAFETY = (Fraction(3, 2), Fraction(2))
STABILIZATION_SAFETY = (Fraction(3), Fraction(5))
#: A price that is off in a single block is never acted on.
MIN_SUSTAINED_BLOCKS = 2


def _need(fits: bool, message: str) -> None:
    if not fits:
        raise ValueError(message)


def ceiling(value: Fraction) -> int:
    """The least whole unit that is not below ``value``."""
    return -(-value.numerator // value.denominator)


# -- reserves --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Buffer:
    """A reserve that has to last for ``seconds`` of an outflow of ``peak`` units per second: ``minimum`` is their
    product, ``required`` that times ``safety``."""

    peak: Fraction
    seconds: int
    safety: Fraction

    def __post_init__(self) -> None:
        _need(self.peak >= 0, "an outflow is not negative")
        _need(self.seconds >= 0, "a time is not negative")
        _need(self.safety >= 1, "a safety factor is at least 1")

    @property
    def minimum(self) -> int:
        return ceiling(self.peak * self.seconds)

    @property
    def required(self) -> int:
        return ceiling(self.peak * self.seconds * self.safety)

    def verdict(self, reserve: int) -> ReserveVerdict:
        """How a reserve compares: ``below-safety`` is at least the minimum, and less than required."""
        if reserve >= self.required:
            return "sufficient"
        return "below-safety" if reserve >= self.minimum else "below-minimum"


def bridge_buffer(peak: Fraction, latency: int, safety: Fraction) -> Buffer:
    """BridgeReserve >= PeakBridgeOutflow x Latency, times the safety factor. ``latency``: seconds that a transfer takes
    to settle."""
    return Buffer(peak, latency, safety)


def stabilization_reserve(peak_minute_outflow: int, window: int, safety: Fraction) -> Buffer:
    """Reserve >= P x T, times the safety factor. P is in units per minute, the window T in seconds."""
    return Buffer(Fraction(peak_minute_outflow, MINUTE), window, safety)


# -- cantilever stabilisation ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cantilever:
    """Trades of ``size`` units, ``frequency`` per minute, against an ``imbalance`` of units per minute:
    ``s x f >= delta``."""

    size: Fraction
    frequency: Fraction
    imbalance: Fraction

    def __post_init__(self) -> None:
        _need(min(self.size, self.frequency, self.imbalance) >= 0, "size, frequency and imbalance are not negative")

    @property
    def throughput(self) -> Fraction:
        """Units per minute."""
        return self.size * self.frequency

    @property
    def holds(self) -> bool:
        return self.throughput >= self.imbalance

    @property
    def size_needed(self) -> int | None:
        """The least size that is enough at this frequency; None if no size is."""
        return ceiling(self.imbalance / self.frequency) if self.frequency else None if self.imbalance else 0


def trade_size(base: Fraction, k: Fraction, deviation: Fraction, threshold: Fraction) -> Fraction:
    """The dynamic rule: beyond the threshold, ``s = k x deviation``; else the size as it is."""
    _need(min(base, k, deviation, threshold) >= 0, "size, k, deviation and threshold are not negative")
    return k * deviation if deviation > threshold else base


# -- parity ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parity:
    """Two chains' prices of one token: ``|P1 - P2| < threshold``. ``relative`` says that the threshold is a share of
    the lower price, else it is in the prices' own unit."""

    first: Fraction
    second: Fraction
    threshold: Fraction
    relative: bool = False

    def __post_init__(self) -> None:
        _need(min(self.first, self.second) > 0, "a price is more than zero")
        _need(self.threshold > 0, "a threshold is more than zero")

    @property
    def difference(self) -> Fraction:
        return abs(self.first - self.second)

    @property
    def ratio(self) -> Fraction:
        """The difference as a share of the lower price."""
        return self.difference / min(self.first, self.second)

    @property
    def holds(self) -> bool:
        return (self.ratio if self.relative else self.difference) < self.threshold


# -- what the commands print -----------------------------------------------------------------------------------------


def exact(value: Fraction) -> str:
    """A fraction as a decimal number where it has an end, else as ``numerator/denominator``."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    if not places:
        return str(value.numerator)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


@dataclass(frozen=True)
class SizingInput:
    """A number that went in: an exact decimal or a fraction, its unit, and where it came from (``given``, ``measured``
    from the event index, or ``default``)."""

    name: str
    value: str
    unit: str
    origin: Literal["given", "measured", "default"]


@dataclass(frozen=True)
class SizingStep:
    """One step of the calculation, in words, and what came out."""

    text: str
    value: str
    unit: str


@dataclass(frozen=True)
class Sizing:
    """What ``attest sizing`` prints with ``--json``: the formula, the numbers in, the steps, and the answer.

    Amounts are in the smallest unit; ``minimum`` is without the safety factor, ``required`` with it, ``actual`` is what
    is there. ``verdict`` is ``not-compared`` where nothing was given to compare with."""

    format: Literal["attest-sizing/1"]
    model: Literal["bridge", "stabilization", "cantilever", "parity"]
    formula: str
    inputs: tuple[SizingInput, ...]
    steps: tuple[SizingStep, ...]
    notes: tuple[str, ...]
    verdict: Literal["sufficient", "below-safety", "below-minimum", "holds", "violated", "not-compared"]
    exit_code: int
    minimum: Amount | None = None
    required: Amount | None = None
    actual: Amount | None = None
