"""When the mails of a mailbox are due (spec §3), in whole milliseconds and exact arithmetic.

With S = 92 % of the open time of the day, w = S/T and c the largest cooldown, mail r (0 … T − 1) is due when
((r + φ + j·h) mod T)·w of open time have passed; j = min(0.8, 1 − c/w). Two neighbours are at least w·(1 − j) ≥ c apart, and
rounding down keeps that, since c is whole. Nothing is due in the last 8 %: it is for what failed.
"""

from array import array
from datetime import date

from mailtide.warmup.contracts import DAY_MS
from mailtide.warmup.ids import bits53, hasher
from mailtide.warmup.open_time import OpenTime


def span_ms(open_ms: int) -> int:
    """The part of the open time that slots are spread over: 92 %, rounded down."""
    return open_ms * 92 // 100


def most_mails(open_ms: int, cooldown_max_ms: int) -> int:
    """How many mails fit at the largest cooldown: floor(0.92 · window / c); one a millisecond when c is 0."""
    return span_ms(open_ms) // max(cooldown_max_ms, 1)


def slots(day: date, mailbox_id: str, target: int, open_time: OpenTime, cooldown_max_ms: int) -> "array[int]":
    """When each mail is due, by round: milliseconds after 00:00 UTC, shape (target,). `target` ≤ most_mails."""
    due = array("I")
    if target == 0:
        return due
    span = span_ms(open_time.total_ms)
    reach = min(4 * span // 5, span - cooldown_max_ms * target)
    phase = bits53("phase", day, mailbox_id) * span
    jitter = hasher(f"jitter|{day}/{mailbox_id}/")
    step, whole = span << 53, span * target << 53
    for number in range(target):
        position = number * step + phase + (jitter(str(number)) >> 11) * reach
        due.append(open_time.at((position - whole if position >= whole else position) // target >> 53))
    return due


def slot(day: date, mailbox_id: str, number: int, target: int, open_time: OpenTime, cooldown_max_ms: int) -> int:
    """One value of `slots`."""
    span = span_ms(open_time.total_ms)
    reach = min(4 * span // 5, span - cooldown_max_ms * target)
    phase, jitter = bits53("phase", day, mailbox_id), bits53("jitter", f"{day}/{mailbox_id}/{number}")
    position = (number * span << 53) + phase * span + jitter * reach
    return open_time.at(position % (span * target << 53) // target >> 53)


def tick_of(moment_ms: int, day_start_ms: int, tick_ms: int) -> tuple[int, int]:
    """[start, end) of the tick that holds a moment: ticks begin at 00:00 UTC, the last one ends with the day."""
    start = day_start_ms + (moment_ms - day_start_ms) // tick_ms * tick_ms
    return start, min(start + tick_ms, day_start_ms + DAY_MS)
