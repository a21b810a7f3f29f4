"""This process's idea of the table server's time."""

import threading
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from mailtide.warmup.contracts import to_ms

DATE_STEP_MS = 1_000
"""A Date header names the second, whatever has passed of it."""
DRIFT_PPM = 200
"""How far a computer's clock may run off by itself, at worst."""


class ServerClock:
    """Implements mailtide.warmup.ports.WarmupClock.

    Every answer bounds the offset between this process's monotonic clock and the server's: its Date was taken after the
    request went out and before the answer came in, and is at most a second old. The bounds of many answers are intersected; an
    answer that contradicts them (the process was frozen, a clock stepped) replaces them.
    """

    def __init__(
        self,
        wall_ms: Callable[[], float] = lambda: time.time_ns() / 1e6,
        monotonic_ms: Callable[[], float] = lambda: time.monotonic_ns() / 1e6,
    ) -> None:
        """Both clocks in milliseconds; the wall clock serves until the first answer."""
        self._wall_ms = wall_ms
        self._monotonic_ms = monotonic_ms
        self._lock = threading.Lock()
        self._bounds: tuple[float, float] | None = None
        self._bounded_at_ms = 0.0

    def monotonic_ms(self) -> int:
        """See mailtide.warmup.ports.WarmupClock."""
        return int(self._monotonic_ms())

    def now_ms(self) -> int:
        """See mailtide.warmup.ports.WarmupClock."""
        bounds = self._bounds
        if bounds is None:
            return int(self._wall_ms())
        return int(self._monotonic_ms() + sum(bounds) / 2)

    def elapsed_ms(self) -> float:
        """The monotonic clock, unrounded, for `observe`."""
        return self._monotonic_ms()

    def forget(self) -> None:
        """Before work that begins after a pause of unknown length: the next answer alone counts."""
        with self._lock:
            self._bounds = None

    def observe(self, date_header: str | None, sent_ms: float, received_ms: float) -> None:
        """Learn from one answer. sent_ms, received_ms: of `elapsed_ms`, around the request."""
        date_ms = _parse_ms(date_header)
        if date_ms is None:
            return
        low, high = date_ms - received_ms, date_ms + DATE_STEP_MS - sent_ms
        with self._lock:
            if self._bounds is not None:
                slack = max(0.0, received_ms - self._bounded_at_ms) * DRIFT_PPM / 1e6
                narrow = max(low, self._bounds[0] - slack), min(high, self._bounds[1] + slack)
                if narrow[0] <= narrow[1]:
                    low, high = narrow
            self._bounds = low, high
            self._bounded_at_ms = received_ms


def _parse_ms(date_header: str | None) -> int | None:
    try:
        return to_ms(parsedate_to_datetime(date_header)) if date_header else None
    except (TypeError, ValueError):
        return None
