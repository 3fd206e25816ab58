"""Periods are ISO weeks, and their cutoffs instants."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.errors import OperatorError
from attest.period import Period, Schedule

SUNDAY_NIGHT = Schedule(7, time(23, 59, 59), "UTC")
days = st.dates(min_value=date(2001, 1, 1), max_value=date(9990, 1, 1))
zones = st.sampled_from(["UTC", "America/New_York", "Europe/Berlin", "Asia/Tokyo", "Pacific/Apia", "Africa/Cairo"])


@given(day=days)
def test_parse__what_a_period_is_written_as__is_read_back(day: date) -> None:
    period = Period.containing(day)
    assert Period.parse(str(period)) == period
    assert date.fromisocalendar(period.year, period.week, day.isoweekday()) == day


@pytest.mark.parametrize(
    "text",
    [
        "2026-W54", "2025-W53", "2026-W00", "2026-w47", "2026W47", "2026-47", "2026-W4", "2026-W047", " 2026-W47",
        "2026-W47\n", "２０２６-W47", "٢٠٢٦-W47", "1999-W01", "0000-W01", "", "9999-W52", "../2026-W47",
    ],
)  # fmt: skip
def test_parse__no_such_week__is_refused_naming_it(text: str) -> None:
    with pytest.raises(OperatorError) as refusal:
        Period.parse(text)
    assert refusal.value.code == "unknown-period"
    assert text.strip() in refusal.value.message


def test_parse__week_53__exists_only_in_long_years() -> None:
    assert str(Period.parse("2026-W53")) == "2026-W53"
    with pytest.raises(OperatorError):
        Period.parse("2027-W53")


@given(day=days, weeks=st.integers(min_value=-50, max_value=50))
def test_shifted__weeks_forth_and_back__is_where_it_was(day: date, weeks: int) -> None:
    period = Period.containing(day)
    assert period.shifted(weeks).shifted(-weeks) == period
    assert (period.shifted(weeks) > period) == (weeks > 0)


def test_shifted__past_the_calendar__is_refused() -> None:
    with pytest.raises(OperatorError):
        Period.parse("9999-W51").shifted(1)
    with pytest.raises(OperatorError):
        Period.parse("9999-W51").shifted(10**9)
    with pytest.raises(OperatorError):
        Period.parse("2000-W01").shifted(-1)


def test_cutoff__sunday_night_in_utc__is_that_instant() -> None:
    assert SUNDAY_NIGHT.cutoff(Period.parse("2026-W47")) == datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)


def test_cutoff__in_a_zone__is_converted_to_utc_in_winter_and_summer() -> None:
    schedule = Schedule(5, time(18), "America/New_York")
    assert schedule.cutoff(Period.parse("2026-W47")) == datetime(2026, 11, 20, 23, tzinfo=UTC)
    assert schedule.cutoff(Period.parse("2026-W30")) == datetime(2026, 7, 24, 22, tzinfo=UTC)


def test_cutoff__wall_clock_time_that_is_skipped_or_comes_twice__takes_its_first_reading() -> None:
    spring = Schedule(7, time(2, 30), "Europe/Berlin").cutoff(Period.containing(date(2026, 3, 29)))
    autumn = Schedule(7, time(2, 30), "Europe/Berlin").cutoff(Period.containing(date(2026, 10, 25)))
    assert spring == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert autumn == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@given(day=days, zone=zones, weekday=st.integers(1, 7), at=st.times())
def test_cutoff__successive_periods__are_a_week_apart_give_or_take_a_clock_change(
    day: date, zone: str, weekday: int, at: time
) -> None:
    schedule = Schedule(weekday, at.replace(microsecond=0), zone)
    period = Period.containing(day)
    gap = schedule.cutoff(period.shifted(1)) - schedule.cutoff(period)
    assert abs(gap - timedelta(weeks=1)) <= timedelta(days=1)
    assert schedule.cutoff(period).tzinfo is UTC


@given(
    now=st.integers(min_value=10**9, max_value=250 * 10**9).map(lambda second: datetime.fromtimestamp(second, UTC)),
    zone=zones,
    weekday=st.integers(1, 7),
)
def test_latest_due__any_time__is_the_newest_period_whose_cutoff_has_passed(
    now: datetime, zone: str, weekday: int
) -> None:
    schedule = Schedule(weekday, time(12), zone)
    due = schedule.latest_due(now)
    assert schedule.cutoff(due) <= now < schedule.cutoff(due.shifted(1))


def test_latest_due__at_the_cutoff__is_that_period() -> None:
    cutoff = SUNDAY_NIGHT.cutoff(Period.parse("2026-W47"))
    assert str(SUNDAY_NIGHT.latest_due(cutoff)) == "2026-W47"
    assert str(SUNDAY_NIGHT.latest_due(cutoff - timedelta(seconds=1))) == "2026-W46"
