"""One word for the state of the system (spec §6)."""

from typing import Literal

type Health = Literal["critical", "degraded", "healthy"]

HEALTH_VALUES: dict[Health, int] = {"critical": 0, "degraded": 1, "healthy": 2}
MIN_EXPECTED = 1.0
"""Below this the day is too young to judge by what was sent."""


def health(*, sent: int, failed: int, expected: float) -> Health:
    """Critical: failures above 20 % of what ended, or sent below 30 % of what the time of day would have; degraded: 10 %, 60 %.

    expected: mails that the slots put before now, not the whole day's.
    """
    ended = sent + failed
    failure_rate = failed / ended if ended else 0.0
    progress = sent / expected if expected >= MIN_EXPECTED else 1.0
    if failure_rate > 0.2 or progress < 0.3:
        return "critical"
    return "degraded" if failure_rate > 0.1 or progress < 0.6 else "healthy"
