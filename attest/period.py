"""The ISO-week period of an attestation and the instant at which its balances are taken. Pure: no clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from attest.errors import OperatorError

_PERIOD = re.compile(r"([0-9]{4})-W([0-9]{2})")


@dataclass(frozen=True, order=True)
class Period:
    """One ISO-8601 week, written ``2026-W47``."""

    year: int
    week: int

    def __post_init__(self) -> None:
        try:
            if self.year < 2000:
                raise ValueError("before the year 2000")
            date.fromisocalendar(self.year, self.week, 1)
            # The last week of the year 9999 begins in the calendar, and ends after it.
            date.fromisocalendar(self.year, self.week, 7)
        except (ValueError, OverflowError) as fault:
            raise OperatorError(
                f"period {self}: there is no such ISO week ({fault})",
                code="unknown-period",
                reason="A period names the week whose balances are attested.",
                advice="Write it as year and ISO week, for example 2026-W47 (`date +%G-W%V` prints the current one).",
            ) from None

    def __str__(self) -> str:
        return f"{self.year:04d}-W{self.week:02d}"

    @classmethod
    def parse(cls, text: str) -> Period:
        """Raises :class:`OperatorError` (``unknown-period``) unless ``text`` is exactly ``YYYY-Www`` and exists."""
        match = _PERIOD.fullmatch(text)
        if match is None or not text.isascii():
            raise OperatorError(
                f"period {text!r} is not an ISO week",
                code="unknown-period",
                reason="A period names the week whose balances are attested.",
                advice="Write it as year and ISO week, for example 2026-W47 (`date +%G-W%V` prints the current one).",
            )
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def containing(cls, day: date) -> Period:
        year, week, _ = day.isocalendar()
        return cls(year, week)

    def has_cutoff(self, instant: datetime) -> bool:
        """Whether ``instant`` (in UTC) can be the cutoff. That is local: in UTC it can lie up to a day outside of
        the ISO week."""
        return -1 <= (instant.date() - date.fromisocalendar(self.year, self.week, 1)).days <= 7

    def shifted(self, weeks: int) -> Period:
        """The period ``weeks`` later (earlier when negative). Raises :class:`OperatorError` (``unknown-period``) past
        the calendar's end or before the year 2000."""
        try:
            day = date.fromisocalendar(self.year, self.week, 1) + timedelta(weeks=weeks)
        except OverflowError:
            raise OperatorError(
                f"period {self}: there is no period {weeks} weeks from it",
                code="unknown-period",
                reason="A period names the week whose balances are attested.",
                advice="Name a period within the years 2000 to 9999.",
            ) from None
        return Period.containing(day)


def revision_name(period: Period | str, revision: int) -> str:
    """What one revision of a period is called in keys and addresses: ``2026-W47``, then ``2026-W47.1``."""
    return str(period) if revision == 0 else f"{period}.{revision}"


@dataclass(frozen=True)
class Schedule:
    """When a period's balances are taken: an ISO weekday (1 = Monday), a wall-clock time and its zone (IANA name)."""

    weekday: int
    at: time
    zone: str

    def cutoff(self, period: Period) -> datetime:
        """The cutoff of ``period`` in UTC. A wall-clock time that a zone skips or repeats takes its first reading."""
        from zoneinfo import ZoneInfo

        day = date.fromisocalendar(period.year, period.week, self.weekday)
        return datetime.combine(day, self.at, ZoneInfo(self.zone)).astimezone(UTC)

    def latest_due(self, now: datetime) -> Period:
        """The newest period whose cutoff is at or before ``now`` (aware)."""
        from zoneinfo import ZoneInfo

        period = Period.containing(now.astimezone(ZoneInfo(self.zone)).date())
        while self.cutoff(period) > now:
            period = period.shifted(-1)
        return period
