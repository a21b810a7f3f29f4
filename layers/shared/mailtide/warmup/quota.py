"""How a mailbox stands against its target (spec §6)."""

from mailtide.warmup.contracts import DAY_MS
from mailtide.warmup.objects import QuotaStatus
from mailtide.warmup.open_time import OpenTime
from mailtide.warmup.slots import span_ms

HOUR_MS = 3_600_000


def day_progress(open_time: OpenTime, moment_ms: int) -> float:
    """The part of the day's mails that the time of day would have: evenly over the first 92 % of the open time, 0 … 1."""
    span = span_ms(open_time.total_ms)
    return min(1.0, open_time.passed(moment_ms) / span) if span else 0.0


def quota_status(*, sent: int, target: int, expected: float, moment_ms: int) -> QuotaStatus:
    """complete, failing, behind or on_track, tested in this order.

    expected: target × day_progress. moment_ms: after 00:00 UTC. The hours that are left are those of the UTC day; they
    say nothing of a mailbox that has sent what its window would have by now, such as one whose window opens late.
    """
    if sent >= target:
        return "complete"
    left_ms = DAY_MS - moment_ms
    if sent == 0 and left_ms < 6 * HOUR_MS and expected > 0:
        return "failing"
    if sent < expected / 2 or (sent < target / 2 and left_ms < 12 * HOUR_MS and sent < expected):
        return "behind"
    return "on_track"
