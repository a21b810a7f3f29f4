"""Pools of mailboxes for the tests of the warm-up."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

from mailtide.warmup.contracts import DAY_MS, MailboxProfile, Ramp, SendWindow, day_start_ms
from mailtide.warmup.days import PoolDay
from mailtide.warmup.roster import Roster, make_roster
from mailtide.warmup.settings import WarmupSettings

DAY = date(2026, 11, 21)
START = day_start_ms(DAY)
END = START + DAY_MS
LONG_AGO = date(2026, 1, 1)
MADE_AT = datetime(2026, 11, 21, tzinfo=UTC)
FULL = Ramp(start_count=3, increase_by=3, max_daily=30)


def profile(
    mailbox_id: str,
    user_id: str,
    *,
    domain: str | None = None,
    ramp: Ramp = FULL,
    window: SendWindow | None = None,
    first_day: date = LONG_AGO,
) -> MailboxProfile:
    """One mailbox; its user has a company domain of its own unless told."""
    return MailboxProfile(
        mailbox_id=mailbox_id,
        user_id=user_id,
        address=f"{mailbox_id}@{domain or user_id + '.example'}",
        ramp=ramp,
        window=window or SendWindow(),
        first_day=first_day,
    )


def pool_of(sizes: Sequence[int], *, max_daily: int = 30) -> list[MailboxProfile]:
    """Users of these many mailboxes each, all fully ramped to `max_daily`."""
    ramp = Ramp(start_count=1, increase_by=1, max_daily=max_daily)
    return [profile(f"u{user}-b{box}", f"u{user}", ramp=ramp) for user, size in enumerate(sizes) for box in range(size)]


def settings(**values: object) -> WarmupSettings:
    """Settings of the tests: the defaults, but for a quota that does not lift small ramps, and few shards."""
    return WarmupSettings.model_validate({"min_daily_quota": 1, "shards": 4, **values})


def roster_of(profiles: Iterable[MailboxProfile], *, day: date = DAY, **values: object) -> Roster:
    """The roster of a pool."""
    return make_roster(profiles, day=day, settings=settings(**values), made_at=MADE_AT)


def day_of_roster(roster: Roster) -> PoolDay:
    """The pool's day, as dispatchers read it."""
    return PoolDay(roster.header, roster.pool)
