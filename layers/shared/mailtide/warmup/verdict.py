"""What a simulated day comes to: quotas met, peaks against the limits, how long mails waited."""

from collections.abc import Iterator
from datetime import date

from mailtide.contracts import Contract
from mailtide.warmup.contracts import DAY_MS, MailboxProfile, Ramp
from mailtide.warmup.limits import HOUR_MS
from mailtide.warmup.simulate import Simulation

LONG_AGO = date(2000, 1, 1)


class Verdict(Contract):
    """A simulated day in figures."""

    day: date
    mailboxes: int
    planned: int
    sent: int
    replies: int
    quotas_met: int
    """Mailboxes that reached their target."""
    quotas_missed: int
    peak_half_minute: int
    peak_minute: int
    minute_limit: int
    peak_hour: int
    hour_limit: int
    peak_user_hour: int
    user_hour_limit: int
    closest_gap_s: float
    """Between two starts of one mailbox."""
    oldest_message_s: float
    """Longest that a visible message waited for a sender."""
    tokens: int
    forfeited: int
    transient_refusals: int
    permanent_refusals: int
    put_back: int
    duplicates: int
    pairing: str
    busy_minutes: int
    """Planned above 95 % of the limit."""
    faults: tuple[str, ...]
    """What must not be, one sentence each."""


def made_up_pool(users: int, mailboxes: int, mails: int) -> Iterator[MailboxProfile]:
    """Users with a company domain and so many fully ramped mailboxes each."""
    ramp = Ramp(start_count=1, increase_by=5, max_daily=mails)
    for user in range(users):
        for box in range(mailboxes):
            yield MailboxProfile(
                mailbox_id=f"u{user}-m{box}",
                user_id=f"u{user}",
                address=f"m{box}@company-{user}.example",
                ramp=ramp,
                first_day=LONG_AGO,
            )


def judge(simulation: Simulation) -> Verdict:
    """The figures of a day that has been lived through, and what was wrong with it."""
    tally, settings = simulation.tally, simulation.settings
    header = simulation.services.rosters.header(simulation.day)
    met = missed = sent = 0
    for number in range(header.shards if header else 0):
        views = simulation.ledger.read_shard(simulation.day, number)
        shard = simulation.services.rosters.shard(simulation.day, number)
        for member in shard.members if shard else ():
            view = views.get(member.mailbox_id)
            count = view.sent if view else 0
            sent += count
            met, missed = (met + 1, missed) if count >= member.target else (met, missed + 1)
    peak_user_hour = max(tally.starts_by_user_hour.values(), default=0)
    return Verdict(
        day=simulation.day,
        mailboxes=header.mailboxes if header else 0,
        planned=header.planned if header else 0,
        sent=sent,
        replies=tally.replies,
        quotas_met=met,
        quotas_missed=missed,
        peak_half_minute=tally.peak(1),
        peak_minute=tally.peak(2),
        minute_limit=settings.global_minute_limit,
        peak_hour=tally.peak(HOUR_MS // 30_000),
        hour_limit=settings.global_hourly_limit,
        peak_user_hour=peak_user_hour,
        user_hour_limit=settings.user_hourly_limit,
        closest_gap_s=tally.closest_gap_ms / 1000 if tally.closest_gap_ms < DAY_MS else 0.0,
        oldest_message_s=tally.oldest_ms / 1000,
        tokens=tally.tokens,
        forfeited=tally.forfeited,
        transient_refusals=tally.transient,
        permanent_refusals=tally.permanent,
        put_back=tally.put_back,
        duplicates=tally.arrived - sent,
        pairing=header.case_note if header else "",
        busy_minutes=len(header.busy_minutes) if header else 0,
        faults=tuple(_faults(simulation, missed, peak_user_hour, tally.arrived - sent)),
    )


def _faults(simulation: Simulation, missed: int, peak_user_hour: int, duplicates: int) -> Iterator[str]:
    tally, settings = simulation.tally, simulation.settings
    if missed:
        yield f"{missed} mailboxes missed their quota."
    if tally.peak(2) > settings.global_minute_limit:
        yield "The global minute limit was exceeded."
    if tally.peak(HOUR_MS // 30_000) > settings.global_hourly_limit:
        yield "The global hourly limit was exceeded."
    if peak_user_hour > settings.user_hourly_limit:
        yield "A user's hourly limit was exceeded."
    if duplicates:
        yield "A mail was sent twice."
