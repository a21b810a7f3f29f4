"""How many mails a mailbox sends on a day."""

from datetime import date, timedelta

from mailtide.warmup.contracts import MailboxProfile, Ramp
from mailtide.warmup.settings import WarmupSettings


def ramp_target(ramp: Ramp, *, first_day: date, day: date, min_daily_quota: int) -> int:
    """min(max, start + (day − 1) · increase), day 1 being `first_day`; once max is reached never below the quota.

    0 before the first day.
    """
    number = (day - first_day).days + 1
    if number < 1:
        return 0
    grown = ramp.start_count + (number - 1) * ramp.increase_by
    return grown if grown < ramp.max_daily else max(ramp.max_daily, min_daily_quota)


def ramp_end(ramp: Ramp, *, first_day: date) -> date:
    """The first day on which the ramp is at its max."""
    rest = max(0, ramp.max_daily - ramp.start_count)
    return first_day + timedelta(days=-(-rest // ramp.increase_by))


def paced_target(wanted: int, profile: MailboxProfile, settings: WarmupSettings) -> int:
    """What is left of a ramp's target for a mailbox that has graduated or is slowed; at least 1 of any."""
    if profile.graduated_on is not None and settings.graduated_quota:
        wanted = min(wanted, settings.graduated_quota)
    return max(min(wanted, 1), int(wanted * profile.pace + 0.5))
