"""When a mailbox's send window is open within a UTC day."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from mailtide.warmup.contracts import DAY_MS, SendWindow

DAY_S = DAY_MS // 1000

type Periods = tuple[tuple[int, int], ...]
"""[start, end) pairs in seconds after 00:00 UTC, ascending, none touching the next."""


@lru_cache(maxsize=4096)
def open_periods(window: SendWindow, day: date) -> Periods:
    """The parts of the UTC day in which the window is open; empty on a day off.

    Wall time counts: a window from 09:00 to 17:00 opens at 09:00 local time on either side of a change of the clocks. A day
    far from the zone's may hold the end of one local day's window and the beginning of the next one's.
    """
    zone = ZoneInfo(window.timezone)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    found: list[tuple[int, int]] = []
    for ahead in (-2, -1, 0, 1):
        local = day + timedelta(days=ahead)
        if local.weekday() not in window.weekdays:
            continue
        closes = window.closes_min + (0 if window.closes_min > window.opens_min else 1_440)
        start = _seconds(local, window.opens_min, zone, midnight)
        end = _seconds(local, closes, zone, midnight)
        if max(start, 0) < min(end, DAY_S):
            found.append((max(start, 0), min(end, DAY_S)))
    return _merge(sorted(found))


def _seconds(local: date, minutes: int, zone: ZoneInfo, midnight: datetime) -> int:
    wall = datetime(local.year, local.month, local.day) + timedelta(minutes=minutes)
    return int((wall.replace(tzinfo=zone).astimezone(UTC) - midnight).total_seconds())


def _merge(periods: list[tuple[int, int]]) -> Periods:
    merged: list[tuple[int, int]] = []
    for start, end in periods:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


@dataclass(frozen=True, slots=True)
class OpenTime:
    """The open time of a day as one line: from milliseconds of open time to milliseconds after 00:00 UTC and back."""

    starts_ms: tuple[int, ...]
    """Of the periods, after 00:00 UTC."""
    before_ms: tuple[int, ...]
    """Open time before each period."""
    total_ms: int

    @classmethod
    def of(cls, periods: Periods) -> "OpenTime":
        """The line of these periods."""
        before, total = [], 0
        for start, end in periods:
            before.append(total)
            total += (end - start) * 1000
        return cls(tuple(start * 1000 for start, _ in periods), tuple(before), total)

    def at(self, open_ms: int) -> int:
        """The moment of the day after which this much open time has passed; `open_ms` in [0, total)."""
        i = bisect_right(self.before_ms, open_ms) - 1
        return self.starts_ms[i] + open_ms - self.before_ms[i]

    def passed(self, moment_ms: int) -> int:
        """How much open time lies before a moment of the day."""
        i = bisect_right(self.starts_ms, moment_ms) - 1
        if i < 0:
            return 0
        until = self.before_ms[i + 1] if i + 1 < len(self.before_ms) else self.total_ms
        return min(self.before_ms[i] + moment_ms - self.starts_ms[i], until)

    def next_open(self, moment_ms: int) -> int | None:
        """The first open moment of the day that is not before this one, None when there is none."""
        passed = self.passed(moment_ms)
        return self.at(passed) if passed < self.total_ms else None
