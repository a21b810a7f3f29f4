"""The API's rate limit: a token bucket for each action on each machine, or on the app where there is no machine."""

import time
from collections.abc import Callable

BURST = 3


class RateLimit:
    """`rate` requests a second in the long run, BURST at once; a rate of None lets everything through."""

    def __init__(self, rate: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def allows(self, action: str, subject: str) -> bool:
        """Whether one more request may pass; counts it when it may."""
        if self._rate is None:
            return True
        now = self._clock()
        level, since = self._buckets.get((action, subject), (float(BURST), now))
        level = min(BURST, level + (now - since) * self._rate)
        allowed = level >= 1
        self._buckets[action, subject] = (level - 1 if allowed else level, now)
        return allowed
