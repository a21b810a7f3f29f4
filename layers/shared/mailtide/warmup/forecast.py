"""How many mails the slots put into each minute of a day."""

from array import array
from collections.abc import Sequence
from datetime import date

from mailtide.warmup.open_time import OpenTime, Periods
from mailtide.warmup.pool import Pool
from mailtide.warmup.slots import slots

MINUTES = 1_440


def mails_by_minute(day: date, pool: Pool, windows: Sequence[Periods], cooldown_max_ms: int) -> "array[int]":
    """Due mails of each minute of the UTC day, shape (1440,). windows: open periods by the pool's window numbers."""
    lines = [OpenTime.of(periods) for periods in windows]
    counts = array("I", bytes(4 * MINUTES))
    for mailbox, target, window in zip(pool.mailbox_ids, pool.targets, pool.windows, strict=True):
        for due in slots(day, mailbox, target, lines[window], cooldown_max_ms):
            counts[due // 60_000] += 1
    return counts
