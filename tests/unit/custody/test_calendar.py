"""Which business date a bank must have reached by a cutoff, and what written dates and times mean."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.custody.calendar import NaiveTimeError, end_of, instant_of, last_business_date

SUNDAY = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
FRIDAY = datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)
ZONES = ["America/New_York", "Europe/London", "Europe/Berlin", "Asia/Tokyo", "Pacific/Kiritimati", "UTC"]


@pytest.mark.parametrize("zone", ZONES)
def test_last_business_date__sunday_night_in_utc__is_friday_everywhere(zone: str) -> None:
    assert last_business_date(SUNDAY, zone, ()) == date(2026, 11, 20)


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("America/New_York", date(2026, 11, 19)),
        ("Europe/London", date(2026, 11, 20)),
        ("Europe/Berlin", date(2026, 11, 20)),
        ("Asia/Tokyo", date(2026, 11, 20)),
    ],
)
def test_last_business_date__friday_night_in_utc__is_friday_only_where_friday_is_over(
    zone: str, expected: date
) -> None:
    assert last_business_date(FRIDAY, zone, ()) == expected


def test_last_business_date__a_second_before_the_date_ends__is_the_day_before() -> None:
    assert last_business_date(FRIDAY - timedelta(seconds=1), "UTC", ()) == date(2026, 11, 19)


def test_last_business_date__holidays_and_weekends__are_stepped_over() -> None:
    holidays = (date(2026, 11, 20), date(2026, 11, 19))
    assert last_business_date(SUNDAY, "Europe/Berlin", holidays) == date(2026, 11, 18)
    monday = datetime(2026, 11, 23, 22, 59, 58, tzinfo=UTC)
    assert last_business_date(monday, "Europe/Berlin", holidays) == date(2026, 11, 18)
    assert last_business_date(monday + timedelta(seconds=1), "Europe/Berlin", holidays) == date(2026, 11, 23)


@given(
    cutoff=st.integers(10**9, 4 * 10**9).map(lambda second: datetime.fromtimestamp(second, UTC)),
    zone=st.sampled_from(ZONES),
)
def test_last_business_date__any_cutoff__is_the_newest_weekday_that_is_over(cutoff: datetime, zone: str) -> None:
    day = last_business_date(cutoff, zone, ())
    assert day.weekday() < 5
    assert end_of(day, zone) <= cutoff
    following = day + timedelta(days=3 if day.weekday() == 4 else 1)
    assert end_of(following, zone) > cutoff


@pytest.mark.parametrize(
    ("day", "zone", "end"),
    [
        (date(2026, 11, 20), "America/New_York", datetime(2026, 11, 21, 4, 59, 59, tzinfo=UTC)),
        (date(2026, 7, 3), "America/New_York", datetime(2026, 7, 4, 3, 59, 59, tzinfo=UTC)),
        # In Havana clocks go back at 01:00 to midnight, in Asuncion (2023) at midnight to 23:00 of the same day.
        (date(2023, 3, 25), "America/Asuncion", datetime(2023, 3, 26, 3, 59, 59, tzinfo=UTC)),
    ],
)
def test_end_of__date__is_its_last_second_where_the_bank_is(day: date, zone: str, end: datetime) -> None:
    assert end_of(day, zone) == end
    assert (end + timedelta(seconds=1)).astimezone(ZoneInfo(zone)).date() > day


def noon(year: int = 2026, month: int = 11, day: int = 20, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute)  # noqa: DTZ001 - a wall clock


@pytest.mark.parametrize(
    ("offset", "hour", "minute"),
    [("Z", 12, 0), ("+00:00", 12, 0), ("+01:00", 11, 0), ("-0500", 17, 0), ("+05:30", 6, 30)],
)
def test_instant_of__time_with_an_offset__ignores_the_zone(offset: str, hour: int, minute: int) -> None:
    for zone in ("Asia/Tokyo", None):
        assert instant_of(noon(), offset, zone) == datetime(2026, 11, 20, hour, minute, tzinfo=UTC)


def test_instant_of__local_time__is_that_of_the_zone() -> None:
    assert instant_of(noon(), None, "America/New_York") == datetime(2026, 11, 20, 17, tzinfo=UTC)


def test_instant_of__local_time_without_a_zone__is_refused() -> None:
    with pytest.raises(NaiveTimeError):
        instant_of(noon(), None, None)


@pytest.mark.parametrize(
    "wall_clock", [noon(month=10, day=25, hour=2, minute=30), noon(month=3, day=29, hour=2, minute=30)]
)
def test_instant_of__local_time_that_is_skipped_or_comes_twice__is_refused(wall_clock: datetime) -> None:
    with pytest.raises(ValueError, match="clocks change"):
        instant_of(wall_clock, None, "Europe/Berlin")


@pytest.mark.parametrize("offset", ["+15:00", "-15:00", "+00:60", "01:00", "+1:00", "z", ""])
def test_instant_of__offset_that_does_not_exist__is_refused(offset: str) -> None:
    with pytest.raises(ValueError, match="offset"):
        instant_of(noon(), offset, "UTC")


@pytest.mark.parametrize("year", [1, 1989, 2200, 9999])
def test_dates__of_a_year_no_statement_is_of__are_refused(year: int) -> None:
    with pytest.raises(ValueError, match="year"):
        end_of(date(year, 1, 1), "UTC")
    with pytest.raises(ValueError, match="year"):
        instant_of(noon(year=year), "Z", None)
