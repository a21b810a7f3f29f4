"""A clock that only tests move."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mailtide.ports import Clock

START = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)


class MemoryClock:
    """Implements mailtide.ports.Clock; stands still until it is moved."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class WrongClock:
    """Implements mailtide.ports.Clock: another clock, some seconds off."""

    right: Clock
    by_s: float

    def now(self) -> datetime:
        return self.right.now() + timedelta(seconds=self.by_s)
