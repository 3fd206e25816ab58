"""The words of the public pages: amounts, dates and the one sentence per token. Pure, exact, no locale.

A supply with more decimals than its reserve is shown rounded *up* to the reserve's decimals (two at least), so that a
shown surplus is never larger than the true one; the exact figure stands in the tables and in ``feed.json``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from attest import money, statement
from attest.documents import FeedPeriod, FeedToken

State = Literal["sufficient", "short", "withheld", "stale"]

#: The four states with their meaning, in the order in which every face gives them.
STATES: dict[State, str] = {
    "sufficient": "The reserve covers the supply, compared exactly. Of the reserve stated here and the one that the "
    "reports on chain agree on, the lower counts.",
    "short": "The reserve that counts is lower than the supply. It is reported all the same.",
    "withheld": "No reserve is stated for this period: its sources did not agree or did not answer, nobody attested it "
    "(missed), or what was attested is withdrawn (revoked). The code says why.",
    "stale": "The next attestation is overdue. The figures still say what they said, about a day that is too long ago.",
}

_FEWEST_PLACES = 2
NBSP = "\N{NO-BREAK SPACE}"


def moment(instant: datetime) -> str:
    """An aware instant in the words of every face, ``Sun 22 Nov 2026 23:59 UTC``, that breaks before the time only."""
    *day, time, zone = statement.moment(instant).split()
    return f"{NBSP.join(day)} {time}{NBSP}{zone}"


def day(instant: datetime) -> tuple[str, str]:
    """The UTC day in short and its year: ``("22 Nov", "2026")``."""
    _, number, month, year, *_ = statement.moment(instant).split()
    return f"{number} {month}", year


def span(seconds: int) -> str:
    """A duration in the largest units that fit, at most two of them: ``7 days``, ``1 day 12 hours``."""
    parts = []
    for name, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(counted(count, name))
    return " ".join(parts[:2]) or "0 seconds"


def counted(count: int, noun: str, ending: str = "s") -> str:
    """``1 source``, ``3 sources``, ``no source``."""
    return f"no {noun}" if count == 0 else f"{count} {noun}{'' if count == 1 else ending}"


def amount(text: str, unit: str) -> str:
    """A plain decimal string with its unit, the whole part grouped: ``1,204,113.07 USD``."""
    return f"{money.group(text)}{NBSP}{unit}"


def shown_supply(token: FeedToken) -> str:
    """The supply with its unit, rounded up as the module says; a fraction of zeros is left out."""
    whole, _, fraction = token.supply.partition(".")
    places = max(_FEWEST_PLACES, len((token.reserve or "").partition(".")[2]))
    shown, lost = fraction[:places], fraction[places:].strip("0")
    digits = int(whole + shown) + (1 if lost else 0)
    text = money.Currency("", len(shown)).format(digits)
    head, _, tail = text.partition(".")
    return amount(text if tail.strip("0") else head, token.token)


def surplus(token: FeedToken) -> str | None:
    """Reserve minus supply in token units, exact, with a sign: ``+4,113.07 USDW``; None when withheld."""
    if token.surplus_units is None:
        return None
    sign = "\N{MINUS SIGN}" if token.surplus_units < 0 else "+" if token.surplus_units else ""
    return sign + _exact(abs(token.surplus_units), token)


def due(cutoff: datetime, cadence_seconds: int, grace_seconds: int) -> datetime:
    """Until when figures of ``cutoff`` are current: one cadence later, and the grace."""
    return cutoff + timedelta(seconds=cadence_seconds + grace_seconds)


@dataclass(frozen=True)
class Answer:
    """One token's sentence: ``<token>: <held> <rest>`` is what is held, ``support`` who agreed and who saw it."""

    token: str
    verdict: State
    held: str
    rest: str
    support: str

    @property
    def text(self) -> str:
        return f"{self.token}: {self.held} {self.rest} {self.support}"


def answer(token: FeedToken, period: FeedPeriod) -> Answer:
    """The sentence of one token in one period, in the words of :func:`attest.statement.sentence`."""
    supply, as_of = f"{shown_supply(token)} issued", f"as of {moment(period.cutoff)}."
    if token.reserve is None or token.reserve_units is None or token.surplus_units is None:
        held, rest = f"reserve withheld ({token.withheld_code})", f"against {supply}, {as_of}"
    else:
        held, rest = amount(token.reserve, token.currency), "held"
        counted_units = token.supply_units + token.surplus_units
        if counted_units < token.reserve_units:
            rest += f" (but only {_exact(counted_units, token)} by the reports on chain, which counts)"
        rest += f" against {supply}"
        if token.ratio_percent is not None:
            rest += f" ({token.ratio_percent}{NBSP}%)"
        if token.verdict == "short":
            rest += f", short by {_exact(-token.surplus_units, token)}"
        rest += f", {as_of}"
    return Answer(token.token, token.verdict, held, rest, _support(token, period))


def note(period: FeedPeriod) -> str | None:
    """What a revision, a revocation or a missed period says of itself, with the reason given: ``revoked: <reason>``."""
    if period.supersedes is not None:
        done = "revoked" if period.supersedes.kind == "revocation" else "replaces what was attested before"
        return f"{done}: {period.supersedes.reason}"
    if period.abandoned and all(token.withheld_code == "missed" for token in period.tokens):
        return f"missed: {period.abandoned[-1].reason}"
    return None


def _exact(units: int, token: FeedToken) -> str:
    return amount(money.format_units(units, token.decimals), token.token)


def _support(token: FeedToken, period: FeedPeriod) -> str:
    parts = []
    if token.agreement is not None:
        parts.append(statement.agreed(token.agreement))
    if token.reports is not None:
        parts.append(f"reported on chain by {token.reports} ({token.required_quorum} needed)")
    parts.append(f"cosigned by {counted(len(period.witnesses), 'witness', 'es')}")
    text = ", ".join(parts) + "."
    text = text[0].upper() + text[1:]
    if token.oldest_as_of is not None and token.oldest_as_of < period.cutoff:
        text += f" Oldest balance: {moment(token.oldest_as_of)}."
    return text
