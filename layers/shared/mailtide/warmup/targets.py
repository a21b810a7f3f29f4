"""How many mails a mailbox sends on a day."""

from datetime import date

from mailtide.warmup.contracts import Ramp


def ramp_target(ramp: Ramp, *, first_day: date, day: date, min_daily_quota: int) -> int:
    """min(max, start + (day − 1) · increase), day 1 being `first_day`; once max is reached never below the quota.

    0 before the first day.
    """
    number = (day - first_day).days + 1
    if number < 1:
        return 0
    grown = ramp.start_count + (number - 1) * ramp.increase_by
    return grown if grown < ramp.max_daily else max(ramp.max_daily, min_daily_quota)
