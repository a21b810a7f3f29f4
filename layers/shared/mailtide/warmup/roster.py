"""The day's roster: who is in the pool, in which order, with which target (spec §3). Pure: mailboxes in, columns out.

Made for 100,000 mailboxes in one pass over them: nothing but a few short columns is kept of each.
"""

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal

from mailtide.warmup.contracts import MailboxProfile
from mailtide.warmup.forecast import mails_by_minute
from mailtide.warmup.ids import hash64, hasher
from mailtide.warmup.objects import BusyMinute, Reduction, RosterHeader
from mailtide.warmup.open_time import DAY_S, OpenTime, Periods, open_periods
from mailtide.warmup.pairing import Pairing, choose_pairing, reduced_target
from mailtide.warmup.parties import parties
from mailtide.warmup.pool import Pool, ShardMembers, split
from mailtide.warmup.settings import WarmupSettings
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


@dataclass(slots=True)
class _Columns:
    """The mailboxes of the day, in the order in which they came or of the shuffle."""

    ids: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    targets: "array[int]" = field(default_factory=lambda: array("H"))
    windows: "array[int]" = field(default_factory=lambda: array("I"))

    def put(self, index: int, mailbox: str, user: str, domain: str, target: int, window: int) -> None:
        """At a place that is taken, or at the end."""
        place = slice(index, index + 1)
        self.ids[place], self.users[place], self.domains[place] = [mailbox], [user], [domain]
        self.targets[place], self.windows[place] = array("H", [target]), array("I", [window])

    def reordered(self, order: Iterable[int]) -> "_Columns":
        places = list(order)
        return _Columns(
            [self.ids[i] for i in places],
            [self.users[i] for i in places],
            [self.domains[i] for i in places],
            array("H", (self.targets[i] for i in places)),
            array("I", (self.windows[i] for i in places)),
        )


def shard_of(mailbox_id: str, shards: int) -> int:
    """The shard of a mailbox."""
    return hash64("shard", mailbox_id) % shards


def make_roster(
    profiles: Iterable[MailboxProfile], *, day: date, settings: WarmupSettings, made_at: datetime
) -> Roster:
    """The roster of a day: the same mailboxes give the same one, in whatever order they come (but for its token and time)."""
    columns, periods, held_down, twice = _collect(profiles, day, settings)
    columns, starts = _shuffled(columns, day)
    pairing = choose_pairing(day, len(columns.ids), starts, max(columns.targets, default=0))
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
    )
    return Roster(header, pool, split(shards, columns.users, planned, settings.shards))


def _collect(
    profiles: Iterable[MailboxProfile], day: date, settings: WarmupSettings
) -> tuple[_Columns, list[Periods], list[Reduction], int]:
    """The mailboxes that are active on the day, their targets held down by their placement and to what the cooldown lets
    through; how many are left out because another has their address: a mailbox writes to itself under no name. The smallest
    id of an address stands."""
    columns = _Columns()
    places: dict[Periods, int] = {}
    same: dict[str, str] = {}
    held_down: dict[int, tuple[int, int]] = {}
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
        wanted = paced_target(grown, profile, settings)
        fits = most_mails(OpenTime.of(periods).total_ms, settings.mailbox_cooldown_max_ms)
        held_down[index] = (max(0, wanted - fits), grown - wanted) if periods else (0, 0)
        user, domain = (same.setdefault(name, name) for name in (profile.user_id, profile.domain))
        window = places.setdefault(periods, len(places))
        columns.put(index, profile.mailbox_id, user, domain, min(wanted, fits), window)
    reductions = [
        _reduction("cooldown", (by_cooldown for by_cooldown, _ in held_down.values())),
        _reduction("placement", (by_pace for _, by_pace in held_down.values())),
    ]
    return columns, list(places), reductions, twice


def _reduction(reason: Literal["cooldown", "placement"], fewer: Iterable[int]) -> Reduction:
    mails = [count for count in fewer if count]
    return Reduction(reason=reason, mailboxes=len(mails), mails=sum(mails))


def _shuffled(columns: _Columns, day: date) -> tuple[_Columns, "array[int]"]:
    """The order of the day, and the index at which each party begins."""
    party_of = parties(zip(columns.users, columns.domains, strict=True))
    rank = {party: (hash64("party", day, party), party) for party in set(party_of.values())}
    member = hasher(f"member|{day}|")
    order = sorted(
        range(len(columns.ids)),
        key=lambda i: (*rank[party_of[columns.users[i]]], member(columns.ids[i]), columns.ids[i]),
    )
    ordered = columns.reordered(order)
    starts = array("I")
    last = None
    for index, user in enumerate(ordered.users):
        if party_of[user] != last:
            starts.append(index)
            last = party_of[user]
    return ordered, starts


def _reduce(columns: _Columns, pairing: Pairing) -> Reduction:
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
