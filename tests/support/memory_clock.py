"""A clock that only tests move."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)


class MemoryClock:
    """Implements mailtide.ports.Clock; stands still until it is moved."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
