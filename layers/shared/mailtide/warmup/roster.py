"""The day's roster: who is in the pool, in which order, with which target (spec §3). Pure: mailboxes in, columns out.

Made for 100,000 mailboxes in one pass over them: nothing but a few short columns is kept of each.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from mailtide.warmup.contracts import MailboxProfile
from mailtide.warmup.forecast import mails_by_minute
from mailtide.warmup.ids import hash64
from mailtide.warmup.objects import BusyMinute, Reduction, RosterHeader
from mailtide.warmup.open_time import DAY_S, OpenTime, Periods, open_periods
from mailtide.warmup.pairing import Pairing, reduced_target
from mailtide.warmup.pool import Pool, ShardMembers, split
from mailtide.warmup.providers import mails_a_day
from mailtide.warmup.settings import WarmupSettings
from mailtide.warmup.shuffle import Columns, in_order
from mailtide.warmup.size import size_warning
from mailtide.warmup.slots import most_mails
from mailtide.warmup.targets import paced_target, ramp_target

BUSY = 0.95
LARGE_PARTY = 0.4
"""From this share of the pool on a party is why its recipients cannot all differ."""


@dataclass(frozen=True, slots=True)
class Roster:
    """Everything that is stored of a day's plan."""

    header: RosterHeader
    pool: Pool
    shards: list[ShardMembers]


def shard_of(mailbox_id: str, shards: int) -> int:
    """The shard of a mailbox."""
    return hash64("shard", mailbox_id) % shards


def make_roster(
    profiles: Iterable[MailboxProfile], *, day: date, settings: WarmupSettings, made_at: datetime
) -> Roster:
    """The roster of a day: the same mailboxes give the same one, in whatever order they come (but for its token and time)."""
    collected, periods, held_down, twice = _collect(profiles, day, settings)
    columns, starts, pairing, across = in_order(collected, day, prefers_others=settings.pair_across_providers)
    paired = _reduce(columns, pairing)
    pool = Pool(columns.ids, columns.targets, columns.windows, starts)
    planned: Counter[str] = Counter()
    shards = [shard_of(mailbox, settings.shards) for mailbox in columns.ids]
    by_shard = [0] * settings.shards
    for user, shard, target in zip(columns.users, shards, columns.targets, strict=True):
        planned[user] += target
        by_shard[shard] += target
    header = RosterHeader(
        day=day,
        made_at=made_at,
        mailboxes=pairing.mailboxes,
        largest_party=pairing.largest_party,
        parties=len(starts),
        case=pairing.case,
        case_note=_note(pairing, paired),
        max_target=max(columns.targets, default=0),
        modulus=pairing.modulus,
        lowest_shift=pairing.lowest_shift,
        step=pairing.step,
        base=pairing.base,
        windows=tuple(periods),
        shards=settings.shards,
        planned=sum(by_shard),
        planned_by_shard=tuple(by_shard),
        cooldown_max_ms=settings.mailbox_cooldown_max_ms,
        reply_rate=settings.reply_rate,
        reply_delay_ms=(settings.reply_delay_min * 60_000, settings.reply_delay_max * 60_000),
        tick_minutes=settings.tick_minutes,
        reductions=tuple(reduction for reduction in (*held_down, paired) if reduction.mailboxes),
        busy_minutes=_busy_minutes(day, pool, periods, settings),
        warnings=tuple(_warnings(pairing.mailboxes, planned, sum(by_shard), settings, twice)),
        across_providers=across,
    )
    return Roster(header, pool, split(shards, columns.users, planned, settings.shards))


def _collect(
    profiles: Iterable[MailboxProfile], day: date, settings: WarmupSettings
) -> tuple[Columns, list[Periods], list[Reduction], int]:
    """The mailboxes that are active on the day, their targets held down by their placement, and to what provider and cooldown
    let through; how many are left out because another has their address: a mailbox writes to itself under no name. The
    smallest id of an address stands."""
    columns = Columns()
    places: dict[Periods, int] = {}
    same: dict[str, str] = {}
    held_down: dict[int, tuple[int, int, int]] = {}
    index_of: dict[str, int] = {}
    twice = 0
    for profile in profiles:
        if profile.status != "active" or profile.first_day > day:
            continue
        index = index_of.setdefault(profile.address.lower(), len(columns.ids))
        if index < len(columns.ids):
            twice += 1
            if columns.ids[index] < profile.mailbox_id:
                continue
        periods = open_periods(profile.window, day)
        grown = ramp_target(
            profile.ramp, first_day=profile.first_day, day=day, min_daily_quota=settings.min_daily_quota
        )
        paced = paced_target(grown, profile, settings)
        wanted = min(paced, mails_a_day(profile.provider) or paced)
        fits = most_mails(OpenTime.of(periods).total_ms, settings.mailbox_cooldown_max_ms)
        held_down[index] = (grown - paced, paced - wanted, max(0, wanted - fits)) if periods else (0, 0, 0)
        texts = profile.user_id, profile.domain, profile.provider
        user, domain, provider = (same.setdefault(text, text) for text in texts)
        window = places.setdefault(periods, len(places))
        columns.put(index, profile.mailbox_id, (user, domain, provider), min(wanted, fits), window)
    by_placement, by_provider, by_cooldown = zip(*held_down.values(), strict=True) if held_down else ((), (), ())
    reductions = [
        _reduction("cooldown", by_cooldown),
        _reduction("placement", by_placement),
        _reduction("provider", by_provider),
    ]
    return columns, list(places), reductions, twice


def _reduction(reason: Literal["cooldown", "placement", "provider"], fewer: Iterable[int]) -> Reduction:
    mails = [count for count in fewer if count]
    return Reduction(reason=reason, mailboxes=len(mails), mails=sum(mails))


def _reduce(columns: Columns, pairing: Pairing) -> Reduction:
    """Lower the targets, in place, to what the pairing can serve."""
    fewer = mails = 0
    for index, wanted in enumerate(columns.targets):
        target = reduced_target(pairing, index, wanted)
        if target < wanted:
            columns.targets[index] = target
            fewer, mails = fewer + 1, mails + wanted - target
    return Reduction(reason="pairing", mailboxes=fewer, mails=mails)


def _note(pairing: Pairing, paired: Reduction) -> str:
    if pairing.case == "shifts":
        return "Every guarantee holds."
    if pairing.case == "all_shifts":
        return "The pool is small for its targets: a reply may repeat a pair of the same day."
    less = f"; {paired.mailboxes} mailboxes send {paired.mails} mails fewer than their ramp"
    if pairing.case == "around_party":
        share = pairing.largest_party / pairing.mailboxes
        why = (
            f"One party holds {share:.0%} of the pool"
            if share >= LARGE_PARTY
            else "The pool is too small for its targets"
        )
        return f"{why}: mailboxes receive unequally{less if paired.mailboxes else ''}."
    if pairing.case == "one_party":
        return f"The pool is one party, whose mailboxes write to each other{less if paired.mailboxes else ''}."
    return "The pool has fewer than two mailboxes: nobody can be written to."


def _busy_minutes(day: date, pool: Pool, periods: list[Periods], settings: WarmupSettings) -> tuple[BusyMinute, ...]:
    counts = mails_by_minute(day, pool, periods, settings.mailbox_cooldown_max_ms)
    limit = settings.global_minute_limit * BUSY
    return tuple(BusyMinute(minute=i, planned=count) for i, count in enumerate(counts) if count > limit)


def _warnings(mailboxes: int, planned: Counter[str], total: int, settings: WarmupSettings, twice: int) -> Iterable[str]:
    if twice:
        yield f"Mailboxes that take no part, since another one has their address: {twice}."
    day_minutes = DAY_S // 60
    room = min(settings.global_minute_limit * day_minutes, settings.global_hourly_limit * 24)
    if total > room:
        yield f"{total} mails are planned, but the global limits let {room} through in a day."
    crowded = sum(1 for mails in planned.values() if mails > settings.user_hourly_limit * 24)
    if crowded:
        yield f"{crowded} users plan more mails than WARMUP_USER_HOURLY_LIMIT lets through in a day."
    of_size = size_warning(mailboxes)
    if of_size:
        yield of_size
