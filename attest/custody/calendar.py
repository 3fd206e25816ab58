"""What dates and local times on a statement mean as instants, and which statement a bank must have by a cutoff. Pure.

A date-only balance is the balance at the *end* of that date where the bank is: 23:59:59 in the account's zone. A date
counts for a cutoff only if that end lies at or before the cutoff. So for the cutoff Sunday 2026-11-22 23:59:59 UTC the
last business date is Friday 2026-11-20 in New York, London and Frankfurt alike (Friday ends in New York at Saturday
04:59:59 UTC); for a cutoff on Friday 23:59:59 UTC it is Friday in London and Frankfurt, but still Thursday in New York,
whose Friday is not over yet.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

#: Years that a statement can be of; beyond them a conversion between zones could leave the calendar.
YEARS = range(1990, 2200)
_SATURDAY = 5
_LAST_SECOND = time(23, 59, 59)
_OFFSET = re.compile(r"([+-])([0-9]{2}):?([0-9]{2})", re.ASCII)


class NaiveTimeError(Exception):
    """A local time, and no zone that says what instant it is."""


def end_of(day: date, zone: str) -> datetime:
    """The last second of ``day`` in ``zone``, in UTC. Where clocks go back at midnight it is the second 23:59:59.

    Raises ``ValueError`` for a year that is not one of :data:`YEARS`.
    """
    _check_year(day)
    return datetime.combine(day, _LAST_SECOND.replace(fold=1), ZoneInfo(zone)).astimezone(UTC)


def instant_of(wall_clock: datetime, offset: str | None, zone: str | None) -> datetime:
    """A written time (naive) as an instant in UTC: by its own ``offset`` (``Z``, ``+hh:mm`` or ``+hhmm``), or without
    one as the local time of ``zone``.

    Raises :class:`NaiveTimeError` if there is neither, ``ValueError`` for an offset or year that does not exist, and
    for a local time that the zone skips or has twice (change of daylight saving time).
    """
    _check_year(wall_clock)
    if offset == "Z":
        return wall_clock.replace(tzinfo=UTC)
    if offset is not None:
        match = _OFFSET.fullmatch(offset)
        if match is None or int(match[2]) > 14 or int(match[3]) > 59:
            raise ValueError(f"there is no offset {offset}")
        behind = timedelta(hours=int(match[2]), minutes=int(match[3]))
        return wall_clock.replace(tzinfo=timezone(-behind if match[1] == "-" else behind)).astimezone(UTC)
    if zone is None:
        raise NaiveTimeError
    first, second = (wall_clock.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        raise ValueError(f"{wall_clock.isoformat()} is skipped or comes twice in {zone}, where clocks change")
    return first.astimezone(UTC)


def _check_year(day: date) -> None:
    if day.year not in YEARS:
        raise ValueError(f"the year {day.year} is none that a statement can be of")


def last_day(cutoff: datetime, zone: str) -> date:
    """The last date, business or not, whose end in ``zone`` lies at or before ``cutoff`` (aware)."""
    day = cutoff.astimezone(ZoneInfo(zone)).date()
    return day if end_of(day, zone) <= cutoff else day - timedelta(days=1)


def last_business_date(cutoff: datetime, zone: str, holidays: Collection[date]) -> date:
    """The last Monday to Friday that is no holiday and whose end in ``zone`` lies at or before ``cutoff`` (aware).

    Banks that work on other days only have newer statements than this asks for, and those count as well.
    """
    day = last_day(cutoff, zone)
    while day.weekday() >= _SATURDAY or day in holidays:
        day -= timedelta(days=1)
    return day
