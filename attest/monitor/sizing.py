"""How large reserves and stabilisation trades must be: the runbook's formulas (section 1.4), exact. Pure.

Amounts are ints in the smallest unit (a token's base units, a currency's cents), rates are fractions of them per
second, times are ints of seconds. What is required is rounded up, what is there is not rounded: nothing is called
sufficient that is not.

Every function raises ``ValueError`` for a number that means nothing (negative, a factor below 1).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from attest.records import Amount

ReserveVerdict = Literal["sufficient", "below-safety", "below-minimum"]

MINUTE = 60
#: What the runbook recommends, of the peak outflow.
BRIDGE_SAFETY = (Fraction(3, 2), Fraction(2))
STABILIZATION_SAFETY = (Fraction(3), Fraction(5))
#: A price that is off in a single block is never acted on.
MIN_SUSTAINED_BLOCKS = 2
#: A drain by flash loans is to be made good in fewer blocks than this.
RECOVERY_TARGET_BLOCKS = 3


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


def breaches_within(reserve: int, floor: int, falling: Fraction, seconds: int) -> bool:
    """Whether a reserve that falls by ``falling`` units per second is below ``floor`` before ``seconds`` are over. One
    that rises (negative) or stands still breaches only if it is below already."""
    _need(seconds >= 0, "a time is not negative")
    return reserve < floor or reserve - falling * seconds < floor


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


# -- flash loan containment ------------------------------------------------------------------------------------------


def twap(observations: Sequence[tuple[int, Fraction]], until: int) -> Fraction:
    """The time-weighted average of a price: each of the (Unix seconds, price), in order, holds until the next one, the
    last until ``until``."""
    _need(bool(observations), "an average needs an observation")
    times = [at for at, _ in observations] + [until]
    _need(all(a <= b for a, b in itertools.pairwise(times)), "observations are in the order of time")
    _need(until > times[0], "an average needs time to pass")
    weighted = sum((price * (b - a) for (a, price), b in zip(observations, times[1:], strict=True)), Fraction(0))
    return weighted / (until - times[0])


def deviation(price: Fraction, reference: Fraction) -> Fraction:
    """How far a price is from a reference (its TWAP), as a share of the reference."""
    _need(reference > 0, "a reference price is more than zero")
    return abs(price - reference) / reference


def sustained_blocks(deviations: Sequence[Fraction], threshold: Fraction) -> int:
    """For how many blocks, up to the newest (the last), the deviation has been beyond the threshold without a break."""
    count = 0
    for each in reversed(deviations):
        if each <= threshold:
            break
        count += 1
    return count


def is_sustained(deviations: Sequence[Fraction], threshold: Fraction, required: int) -> bool:
    """Whether to rebalance: the deviation is sustained for ``required`` blocks, at least
    :data:`MIN_SUSTAINED_BLOCKS`, so that what one block shows is ignored."""
    _need(required >= MIN_SUSTAINED_BLOCKS, f"a deviation is sustained after {MIN_SUSTAINED_BLOCKS} blocks at least")
    return sustained_blocks(deviations, threshold) >= required


def block_cap_exceeded(volume: int, cap: int) -> bool:
    """Whether more was traded in one block than the stabiliser may."""
    _need(min(volume, cap) >= 0, "a volume is not negative")
    return volume > cap


def recovery_blocks(drained: int, per_block: int) -> int | None:
    """Blocks until a drain is made good, ``per_block`` units of it in each (the volume cap at most); None if never."""
    _need(min(drained, per_block) >= 0, "a volume is not negative")
    if drained == 0:
        return 0
    return -(-drained // per_block) if per_block else None


def longest_excursion(deviations: Sequence[Fraction], threshold: Fraction) -> int:
    """The most blocks in a row beyond the threshold: how long the slowest recovery took, the one that goes on now
    included."""
    longest = current = 0
    for each in deviations:
        current = current + 1 if each > threshold else 0
        longest = max(longest, current)
    return longest


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
