"""The public dashboard: one static page and ``feed.json``, a pure function of the feed and the time it is made at.

The page loads nothing: style and the only script are inline and named by digest in its content security policy (CSP
level 3, "hash-source"), and every value of the feed is escaped. The script has one task that a static page cannot do
without it: to compare the reader's clock with the time at which the next attestation is due. Without scripts, the page
still says that time.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from attest import records
from attest.documents import Feed, FeedPeriod, FeedToken
from attest.period import revision_name
from attest.publish.site import pages, plot, words
from attest.publish.site.verifier_page import verifier_page

if TYPE_CHECKING:
    from jinja2 import Environment

#: How many periods the history shows before the rest is folded away.
_OPEN_PERIODS = 8
_WIDE, _NARROW = 720, 340
_MAIL = re.compile(r"[^@\s<>\"]+@[^@\s<>\"]+\.[A-Za-z]{2,}")


@dataclass(frozen=True)
class _Current:
    """A token's newest figures, as the first screen shows them. ``stale`` is seen from when the page is made;
    ``left_out`` when a newer attestation does not name the token."""

    answer: words.Answer
    due: datetime
    stale: bool
    left_out: bool


@dataclass(frozen=True)
class _Row:
    """One token of one period, as both tables show it."""

    period: FeedPeriod
    token: FeedToken
    reserve: str | None
    supply: str
    exact_supply: str
    surplus: str | None


@dataclass(frozen=True)
class _Entry:
    """One revision of a period in the history, called ``name``; ``note`` is what it says of itself, ``successor`` the
    revision that replaced it. ``files`` are (name, relative address), ``quoted_folder`` is ready for a shell."""

    period: FeedPeriod
    name: str
    rows: tuple[_Row, ...]
    note: str | None
    successor: FeedPeriod | None
    files: tuple[tuple[str, str], ...]
    quoted_folder: str


@dataclass(frozen=True)
class _Series:
    """One token over time: its drawing (SVG) for wide and for narrow screens, and the rows behind it, newest first."""

    token: str
    wide: str
    narrow: str
    rows: tuple[_Row, ...]


def render(feed: Feed, *, now: datetime) -> dict[str, bytes]:
    """The public store's ``index.html``, ``feed.json`` and ``verify.html``, by key.

    ``now`` (aware) is printed as the time the page was made and decides what is stale already. Raises ``ValueError`` if
    ``now`` has no zone.
    """
    from markupsafe import Markup

    style, script = pages.asset("dashboard.css"), pages.asset("stale.js")
    standing = _standing(feed)
    tokens = _by_token(standing)
    page = (
        _environment()
        .get_template("dashboard.html")
        .render(
            feed=feed,
            made=records.parse_instant(records.format_instant(now)),
            style=Markup(style),
            script=Markup(script),
            policy=pages.policy(style, script),
            states=words.STATES,
            newest=standing[-1] if standing else None,
            current=[_current(feed, *series[-1], newest=standing[-1], now=now) for series in tokens],
            series=[_series(feed, series) for series in tokens],
            newest_note=words.note(standing[-1]) if standing else None,
            history=[_entry(period, feed) for period in feed.periods],
            open_periods=_OPEN_PERIODS,
            contact_link=_contact_link(feed.contact),
        )
    )
    return {"index.html": page.encode(), "feed.json": records.to_json(feed), "verify.html": verifier_page()}


@cache
def _environment() -> Environment:
    """The templates, compiled once in a process."""
    found = pages.environment()
    found.filters |= {"called": _called, "instant": records.format_instant}
    return found


def _contact_link(contact: str) -> str | None:
    """Where a contact leads if it is a mail or https address and nothing else; no other scheme becomes a link."""
    if _MAIL.fullmatch(contact):
        return f"mailto:{quote(contact, safe='@')}"
    return contact if re.fullmatch(r"https://[^\s<>\"]+", contact) else None


def _standing(feed: Feed) -> list[FeedPeriod]:
    """The highest revision of each period, oldest first."""
    highest = {entry.period: entry for entry in sorted(feed.periods, key=lambda entry: entry.revision)}
    return sorted(highest.values(), key=lambda entry: entry.cutoff)


def _by_token(standing: Sequence[FeedPeriod]) -> list[list[tuple[FeedPeriod, FeedToken]]]:
    """Each token's periods, oldest first; tokens in the newest period's order, those that it does not name last."""
    found: dict[str, list[tuple[FeedPeriod, FeedToken]]] = {}
    for period in reversed(standing):
        for token in period.tokens:
            found.setdefault(token.token, []).insert(0, (period, token))
    return list(found.values())


def _current(feed: Feed, period: FeedPeriod, token: FeedToken, *, newest: FeedPeriod, now: datetime) -> _Current:
    due = words.due(period.cutoff, feed.cadence_seconds, feed.grace_seconds)
    return _Current(words.answer(token, period), due, stale=now > due, left_out=period is not newest)


def _row(period: FeedPeriod, token: FeedToken) -> _Row:
    return _Row(
        period,
        token,
        None if token.reserve is None else words.amount(token.reserve, token.currency),
        words.shown_supply(token),
        words.amount(token.supply, token.token),
        words.surplus(token),
    )


def _called(period: FeedPeriod) -> str:
    return revision_name(period.period, period.revision)


def _entry(period: FeedPeriod, feed: Feed) -> _Entry:
    folder = period.folder.strip("/")
    later = [each for each in feed.periods if each.period == period.period and each.revision > period.revision]
    return _Entry(
        period,
        _called(period),
        tuple(_row(period, token) for token in period.tokens),
        note=words.note(period),
        successor=min(later, key=lambda entry: entry.revision, default=None),
        files=tuple((name, f"./{quote(f'{folder}/{name}')}") for name in period.files),
        quoted_folder=shlex.quote(folder),
    )


def _series(feed: Feed, series: Sequence[tuple[FeedPeriod, FeedToken]]) -> _Series:
    newest = series[-1][1]
    points = [
        plot.Point(period.cutoff, token.verdict, token.reserve_units, token.supply_units, token.surplus_units)
        for period, token in series
    ]

    def draw(width: int) -> str:
        return plot.plot(
            points,
            decimals=newest.decimals,
            token=newest.token,
            currency=newest.currency,
            cadence=timedelta(seconds=feed.cadence_seconds),
            width=width,
            label=_description(series),
        )

    rows = tuple(_row(period, token) for period, token in reversed(series))
    return _Series(newest.token, draw(_WIDE), draw(_NARROW), rows)


def _description(series: Sequence[tuple[FeedPeriod, FeedToken]]) -> str:
    """What a plot shows, for those who cannot see it."""
    (first, _), (last, newest) = series[0], series[-1]
    verdicts = [token.verdict for _, token in series]
    parts = [f"{newest.token}: reserve and supply in {words.counted(len(series), 'period')}"]
    if len(series) > 1:
        parts.append(f"from {words.moment(first.cutoff)} to {words.moment(last.cutoff)}")
    parts += [f"{verdicts.count(state)} {state}" for state in words.STATES if state in verdicts]
    return f"{', '.join(parts)}. The numbers are in the table that follows."
