"""One word for the state of the system (spec §6)."""

from typing import Literal

type Health = Literal["critical", "degraded", "healthy"]

HEALTH_VALUES: dict[Health, int] = {"critical": 0, "degraded": 1, "healthy": 2}
MIN_EXPECTED = 1.0
"""Below this the day is too young to judge by what was sent."""


STALE_TICKS = 2
"""Figures that are older than this say nothing of the present: a dispatcher has not come by."""
DEAD_TICKS = 6


def health(*, sent: int, failed: int, expected: float, age_ticks: float = 0.0) -> Health:
    """Critical: failures above 20 % of what ended, or sent below 30 % of what the time of day would have; degraded: 10 %, 60 %.

    expected: mails that the slots put before the figures were taken, not the whole day's. age_ticks: how long ago the oldest
    figures were taken: at best degraded from STALE_TICKS on, critical from DEAD_TICKS on.
    """
    if age_ticks > DEAD_TICKS:
        return "critical"
    found = _of_figures(sent, failed, expected)
    return "degraded" if age_ticks > STALE_TICKS and found == "healthy" else found


def _of_figures(sent: int, failed: int, expected: float) -> Health:
    ended = sent + failed
    failure_rate = failed / ended if ended else 0.0
    progress = sent / expected if expected >= MIN_EXPECTED else 1.0
    if failure_rate > 0.2 or progress < 0.3:
        return "critical"
    return "degraded" if failure_rate > 0.1 or progress < 0.6 else "healthy"
