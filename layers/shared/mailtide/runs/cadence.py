"""When an organisation's timer run is due: pure arithmetic on local wall time."""

from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

type Cadence = Literal["daily", "weekly", "monthly"]


def local_date(now: datetime, timezone: str) -> date:
    """The civil date of an instant in a time zone."""
    return now.astimezone(ZoneInfo(timezone)).date()


def due_date(
    now: datetime, *, timezone: str, cadence: Cadence, run_at_hour: int, last_as_of: date | None
) -> date | None:
    """The as_of of the run that is due now, None when none is.

    A run is due from `run_at_hour` local time of the first day of a period (the day; the week from Monday; the month
    from the 1st) until one has been made in that period, so a missed tick is caught up by the next one. Wall time is compared:
    an hour that daylight saving skips counts as passed when the clock is beyond it, one that it repeats changes nothing.
    """
    local = now.astimezone(ZoneInfo(timezone)).replace(tzinfo=None)
    start = _period_start(local.date(), cadence)
    opens = datetime(start.year, start.month, start.day) + timedelta(hours=run_at_hour)
    if local < opens or (last_as_of is not None and last_as_of >= start):
        return None
    return local.date()


def last_opened(now: datetime, *, timezone: str, cadence: Cadence, run_at_hour: int) -> date:
    """The first day of the last period whose hour has come: there should be a run of that day or a later one."""
    local = now.astimezone(ZoneInfo(timezone)).replace(tzinfo=None)
    start = _period_start(local.date(), cadence)
    if local < datetime(start.year, start.month, start.day) + timedelta(hours=run_at_hour):
        return _period_start(start - timedelta(days=1), cadence)
    return start


def next_due(now: datetime, *, timezone: str, cadence: Cadence, run_at_hour: int, last_as_of: date | None) -> datetime:
    """When the next timer run is due, in UTC: `now` when one is due already (the next tick makes it)."""
    zone = ZoneInfo(timezone)
    if due_date(now, timezone=timezone, cadence=cadence, run_at_hour=run_at_hour, last_as_of=last_as_of) is not None:
        return now
    start = _period_start(now.astimezone(zone).date(), cadence)
    while last_as_of is not None and last_as_of >= start:
        start = _next_period(start, cadence)
    opens = datetime(start.year, start.month, start.day, tzinfo=zone) + timedelta(hours=run_at_hour)
    return opens.astimezone(UTC)


def _next_period(start: date, cadence: Cadence) -> date:
    days = {"daily": 1, "weekly": 7, "monthly": 31}[cadence]
    return _period_start(start + timedelta(days=days), cadence)


def _period_start(day: date, cadence: Cadence) -> date:
    if cadence == "weekly":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if cadence == "monthly" else day
