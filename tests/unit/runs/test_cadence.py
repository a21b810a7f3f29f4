"""When a timer run is due: wall time, daylight saving both ways, missed ticks, every hour, every cadence."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.runs.cadence import Cadence, due_date, last_opened, local_date, next_due

CHICAGO = "America/Chicago"
ZONES = (CHICAGO, "America/New_York", "Pacific/Honolulu", "Europe/Berlin", "Asia/Kathmandu", "Pacific/Auckland", "UTC")


def due(
    now: datetime, *, hour: int = 5, cadence: Cadence = "daily", last: date | None = None, zone: str = CHICAGO
) -> date | None:
    return due_date(now, timezone=zone, cadence=cadence, run_at_hour=hour, last_as_of=last)


def local(zone: str, *moment: int, fold: int = 0) -> datetime:
    """An instant, by its wall time."""
    year, month, day, hour, minute = moment
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def ticks(start: datetime, hours: float) -> list[datetime]:
    return [start + timedelta(minutes=15 * number) for number in range(int(hours * 4))]


def runs(moments: list[datetime], **how: object) -> list[tuple[datetime, date]]:
    """The runs that these ticks start, each recorded at once."""
    last: date | None = None
    found = []
    for now in moments:
        day = due(now, last=last, **how)  # type: ignore[arg-type]  # handed through
        if day is not None:
            found.append((now, day))
            last = day
    return found


@pytest.mark.parametrize("hour", range(24))
def test_each_hour_of_the_day(hour: int) -> None:
    before = local(CHICAGO, 2026, 6, 10, hour, 0) - timedelta(seconds=1)
    at = local(CHICAGO, 2026, 6, 10, hour, 0)
    yesterday = date(2026, 6, 9)
    assert due(before, hour=hour, last=yesterday) is None
    assert due(at, hour=hour, last=yesterday) == date(2026, 6, 10)
    assert due(at, hour=hour, last=date(2026, 6, 10)) is None


def test_no_run_yet_is_due_from_the_hour_on() -> None:
    assert due(local(CHICAGO, 2026, 6, 10, 4, 59)) is None
    assert due(local(CHICAGO, 2026, 6, 10, 23, 59)) == date(2026, 6, 10)


def test_missed_ticks_are_caught_up_by_the_next_one() -> None:
    assert due(local(CHICAGO, 2026, 6, 13, 17, 45), last=date(2026, 6, 9)) == date(2026, 6, 13)


def test_a_day_that_was_missed_altogether_is_not_made_up_at_night() -> None:
    assert due(local(CHICAGO, 2026, 6, 13, 0, 15), last=date(2026, 6, 9)) is None


@pytest.mark.parametrize("hour", [0, 1, 2, 3, 5, 12, 23])
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    "first", [date(2026, 3, 6), date(2026, 3, 27), date(2026, 10, 23), date(2026, 10, 30), date(2026, 4, 3)]
)
def test_one_run_a_day_over_every_clock_change(zone: str, hour: int, first: date) -> None:
    start = datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    found = runs(ticks(start, 24 * 5 - 2), hour=hour, zone=zone)
    days = [day for _, day in found]
    assert days == [first + timedelta(days=number) for number in range(len(days))]
    assert len(days) == 5 or (len(days) == 4 and hour >= 21)
    for now, day in found:
        assert local_date(now, zone) == day
        assert now.astimezone(ZoneInfo(zone)).replace(tzinfo=None) >= datetime(day.year, day.month, day.day, hour)


def test_the_hour_that_spring_skips_counts_as_passed_right_after_it() -> None:
    assert due(local(CHICAGO, 2026, 3, 8, 1, 59), hour=2) is None
    assert due(local(CHICAGO, 2026, 3, 8, 3, 0), hour=2) == date(2026, 3, 8)


def test_the_hour_that_autumn_repeats_gives_one_run() -> None:
    once, again = local(CHICAGO, 2026, 11, 1, 1, 0), local(CHICAGO, 2026, 11, 1, 1, 0, fold=1)
    assert again - once == timedelta(hours=1)
    assert due(once, hour=1) == date(2026, 11, 1)
    assert due(again, hour=1, last=date(2026, 11, 1)) is None


def test_a_midnight_that_is_skipped() -> None:
    """In Cairo the 24th of April 2026 begins at 01:00."""
    zone = "Africa/Cairo"
    assert due(local(zone, 2026, 4, 23, 23, 59), hour=0, last=date(2026, 4, 23), zone=zone) is None
    assert due(local(zone, 2026, 4, 24, 1, 0), hour=0, last=date(2026, 4, 23), zone=zone) == date(2026, 4, 24)


def test_weekly_from_monday_on() -> None:
    sunday, monday = date(2026, 6, 14), date(2026, 6, 15)
    assert due(local(CHICAGO, 2026, 6, 14, 12, 0), cadence="weekly", last=date(2026, 6, 8)) is None
    assert due(local(CHICAGO, 2026, 6, 15, 4, 59), cadence="weekly", last=sunday) is None
    assert due(local(CHICAGO, 2026, 6, 15, 5, 0), cadence="weekly", last=sunday) == monday
    assert due(local(CHICAGO, 2026, 6, 17, 0, 0), cadence="weekly", last=sunday) == date(2026, 6, 17)
    assert due(local(CHICAGO, 2026, 6, 21, 23, 0), cadence="weekly", last=monday) is None


def test_monthly_from_the_first_on() -> None:
    assert due(local(CHICAGO, 2026, 2, 1, 4, 0), cadence="monthly", last=date(2026, 1, 31)) is None
    assert due(local(CHICAGO, 2026, 2, 1, 5, 0), cadence="monthly", last=date(2026, 1, 31)) == date(2026, 2, 1)
    assert due(local(CHICAGO, 2026, 2, 28, 23, 0), cadence="monthly", last=date(2026, 2, 1)) is None
    assert due(local(CHICAGO, 2026, 2, 20, 1, 0), cadence="monthly", last=date(2026, 1, 1)) == date(2026, 2, 20)


def test_an_upload_today_is_the_run_of_today() -> None:
    assert due(local(CHICAGO, 2026, 6, 10, 5, 0), last=date(2026, 6, 10)) is None
    assert due(local(CHICAGO, 2026, 6, 10, 5, 0), last=date(2026, 7, 1)) is None


@pytest.mark.parametrize(("cadence", "count"), [("daily", 365), ("weekly", 53), ("monthly", 12)])
def test_a_year_has_its_number_of_runs(cadence: Cadence, count: int) -> None:
    start = local(CHICAGO, 2026, 1, 1, 0, 0)
    assert len(runs(ticks(start, 24 * 365), cadence=cadence)) == count


@given(
    now=st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1)),
    zone=st.sampled_from(ZONES),
    hour=st.integers(0, 23),
    cadence=st.sampled_from(["daily", "weekly", "monthly"]),
)
def test_whatever_is_due_is_the_local_day_and_then_no_longer_due(
    now: datetime, zone: str, hour: int, cadence: Cadence
) -> None:
    now = now.replace(tzinfo=UTC)
    day = due(now, zone=zone, hour=hour, cadence=cadence)
    if day is not None:
        assert day == local_date(now, zone)
        assert due(now, zone=zone, hour=hour, cadence=cadence, last=day) is None


@given(
    now=st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31)),
    zone=st.sampled_from(ZONES),
    cadence=st.sampled_from(("daily", "weekly", "monthly")),
    hour=st.integers(0, 23),
    days=st.none() | st.integers(-40, 3),
)
def test_the_next_run_is_the_first_moment_at_which_one_is_due(
    now: datetime, zone: str, cadence: Cadence, hour: int, days: int | None
) -> None:
    now = now.replace(tzinfo=UTC, microsecond=0)
    last = None if days is None else local_date(now, zone) + timedelta(days=days)
    at = next_due(now, timezone=zone, cadence=cadence, run_at_hour=hour, last_as_of=last)
    assert at >= now
    assert due(at, hour=hour, cadence=cadence, last=last, zone=zone) is not None
    earlier = at - timedelta(hours=2)
    if at > now and earlier > now:
        assert due(earlier, hour=hour, cadence=cadence, last=last, zone=zone) is None


def test_the_last_period_that_has_opened() -> None:
    def opened(cadence: Cadence, *moment: int) -> date:
        return last_opened(local(CHICAGO, *moment), timezone=CHICAGO, cadence=cadence, run_at_hour=5)

    assert opened("daily", 2026, 11, 22, 4, 59) == date(2026, 11, 21)
    assert opened("daily", 2026, 11, 22, 5, 0) == date(2026, 11, 22)
    assert opened("weekly", 2026, 11, 23, 4, 0) == date(2026, 11, 16)
    assert opened("weekly", 2026, 11, 29, 4, 0) == date(2026, 11, 23)
    assert opened("monthly", 2026, 3, 1, 3, 0) == date(2026, 2, 1)
