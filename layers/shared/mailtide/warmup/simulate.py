"""A whole day on a virtual clock: the real planning, dispatch, ledger and limit code; only the mail servers are modelled.

Time goes in steps of one second. In each the modelled senders take what is visible on the queue, claim it, take tokens for
all of it as one wave, and start. Chance comes from a seeded generator, so a day can be repeated.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from heapq import heappop, heappush
from random import Random

from mailtide.warmup.attempt import SPREAD_S, delay_s, limit_spread_s
from mailtide.warmup.contracts import (
    DAY_MS,
    LedgerKey,
    MailboxProfile,
    RoundState,
    SendMessage,
    WarmupTick,
    day_start_ms,
)
from mailtide.warmup.days import RosterStore
from mailtide.warmup.dispatch import dispatch_shard
from mailtide.warmup.ids import SendId
from mailtide.warmup.limits import GlobalLimits
from mailtide.warmup.memory import (
    MemoryLedger,
    MemoryLimits,
    MemoryMailboxes,
    MemoryMailQueue,
    MemoryObjects,
    VirtualClock,
)
from mailtide.warmup.plan import plan_warmup
from mailtide.warmup.ports import Claim, ClaimAnswer, UserDemand
from mailtide.warmup.reading.simulated import ReadWorld, SimulatedReaders
from mailtide.warmup.services import PlanningServices
from mailtide.warmup.settings import WarmupSettings

STEP_MS = 1_000
DISPATCH_LAG_MS = 3_000
"""From the tick to its messages on the queue."""
MAX_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is modelled."""

    send_s: float = 8.0
    """Mean length of a send; each takes between a half and one and a half of it."""
    connect_s: float = 1.0
    """The part of it before MAIL FROM."""
    transient_rate: float = 0.02
    permanent_rate: float = 0.005
    outages: tuple[tuple[int, int], ...] = ()
    """[start, end) in minutes of the day: neither ticks nor sends begin."""
    concurrency: int = 1_000
    """Sends in flight, all senders together."""
    missed_ticks: frozenset[int] = frozenset()
    doubled_ticks: frozenset[int] = frozenset()
    """By their number in the day, from 0."""
    limit_cut: tuple[int, int] | None = None
    """(minute of the day, factor): from then on the global limits are divided by the factor."""
    limit_restored: int | None = None
    """Minute of the day from which on the limits are what they were before the cut."""
    disconnected: tuple[int, tuple[str, ...]] | None = None
    """(minute of the day, mailboxes): they are disconnected from then on."""
    reconnected: int | None = None
    """Minute of the day from which on they are active again."""
    reading: ReadWorld | None = None
    """How the mailboxes with an IMAP server are read; None: not at all."""
    seed: int = 1

    def is_out(self, moment_ms: int) -> bool:
        """Whether a moment of the day lies in an outage."""
        return any(start <= moment_ms // 60_000 < end for start, end in self.outages)


@dataclass(slots=True, kw_only=True)
class Tally:
    """What happened, counted while it did."""

    starts_by_half_minute: Counter[int] = field(default_factory=Counter)
    tokens: int = 0
    forfeited: int = 0
    transient: int = 0
    permanent: int = 0
    arrived: int = 0
    """Mails that a server accepted; each beyond what the ledger counts as sent came twice."""
    duplicates: int = 0
    """Rounds that arrived twice; counted only with `check_pairs`, as the next two."""
    repeated_pairs: int = 0
    own_mail: int = 0
    replies: int = 0
    early_replies: int = 0
    """Replies to mails that no visit had found; counted only where mailboxes are read."""
    put_back: int = 0
    dropped: int = 0
    closest_gap_ms: int = DAY_MS
    oldest_ms: int = 0
    """Longest that a visible mail waited for a sender."""
    starts_by_user_day: Counter[tuple[str, int]] = field(default_factory=Counter)
    starts_by_user_hour: Counter[tuple[str, int]] = field(default_factory=Counter)

    def peak(self, halves: int) -> int:
        """Most starts in any aligned window of so many half minutes."""
        windows: Counter[int] = Counter()
        for half, count in self.starts_by_half_minute.items():
            windows[half // halves] += count
        return max(windows.values(), default=0)


@dataclass(slots=True)
class _Flight:
    """A send on its way."""

    mail: SendMessage
    claim: Claim
    answer: ClaimAnswer
    is_reply: bool


class Simulation:
    """One day."""

    def __init__(
        self,
        profiles: Iterable[MailboxProfile],
        *,
        day: date,
        settings: WarmupSettings,
        world: World | None = None,
        check_pairs: bool = False,
    ) -> None:
        self.day = day
        self.world = world or World()
        self.start_ms = day_start_ms(day)
        self.clock = VirtualClock(self.start_ms)
        self.queue = MemoryMailQueue(self.clock)
        self.ledger = MemoryLedger()
        self.mailboxes = MemoryMailboxes(profiles)
        self.tally = Tally()
        bucket = MemoryObjects()
        chance = Random(self.world.seed)  # noqa: S311 - a model's chance, to be repeated
        reading = self.world.reading
        self.readers = SimulatedReaders(reading, self.start_ms, chance) if reading else None
        self.services = PlanningServices(
            bucket=bucket,
            rosters=RosterStore(bucket),
            mailboxes=self.mailboxes,
            ledger=self.ledger,
            queue=self.queue,
            clock=self.clock,
            settings=settings,
            reading=self.readers.ports if self.readers else None,
        )
        self._first_settings = settings
        self._limits = self._make_limits()
        self._random = chance
        self._flights: list[tuple[int, int, _Flight]] = []
        self._number = 0
        self._last_start: dict[str, int] = {}
        self._seen: set[tuple[str, int]] = set()
        self._pairs: set[tuple[str, str]] | None = set() if check_pairs else None

    @property
    def settings(self) -> WarmupSettings:
        """The settings of the present hour."""
        return self.services.settings

    def _make_limits(self) -> MemoryLimits:
        settings = self.settings
        limits = GlobalLimits(hour=settings.global_hourly_limit, minute=settings.global_minute_limit)
        return MemoryLimits(limits, user_hourly_limit=settings.user_hourly_limit, now_ms=self.clock.now_ms)

    def run(self, progress: Callable[[int], None] | None = None) -> Tally:
        """Live through the day; `progress` gets the minute of the day after each tick."""
        tick_ms = self.settings.tick_ms
        for moment_ms in range(0, DAY_MS, STEP_MS):
            self.clock.at_ms = self.start_ms + moment_ms
            self._end_flights()
            self._happen(moment_ms)
            if moment_ms % tick_ms == 0 and not self.world.is_out(moment_ms):
                self._tick(moment_ms // tick_ms)
                if progress:
                    progress(moment_ms // 60_000)
            if self.readers is not None:
                self.readers.look(self.clock.at_ms)
            if not self.world.is_out(moment_ms):
                self._wave()
        self.clock.at_ms = self.start_ms + DAY_MS
        self._end_flights(everything=True)
        return self.tally

    def _happen(self, moment_ms: int) -> None:
        """What the world has in store for this moment."""
        if moment_ms % 60_000:
            return
        minute, world = moment_ms // 60_000, self.world
        if world.limit_cut and minute == world.limit_cut[0]:
            self._set_limits(world.limit_cut[1])
        if world.limit_cut and minute == world.limit_restored:
            self._set_limits(1)
        if world.disconnected and minute == world.disconnected[0]:
            for mailbox_id in world.disconnected[1]:
                self.mailboxes.set_status(mailbox_id, "disconnected", "credentials refused")
        if world.disconnected and minute == world.reconnected:
            for mailbox_id in world.disconnected[1]:
                self.mailboxes.set_status(mailbox_id, "active", "")

    def _set_limits(self, divisor: int) -> None:
        """The global limits that the day began with, divided."""
        limits = GlobalLimits(
            hour=max(1, self._first_settings.global_hourly_limit // divisor),
            minute=max(2, self._first_settings.global_minute_limit // divisor),
        )
        self._limits.limits = limits
        changed = {"global_hourly_limit": limits.hour, "global_minute_limit": limits.minute}
        self.services = replace(self.services, settings=self._first_settings.model_copy(update=changed))

    def _tick(self, number: int) -> None:
        if number in self.world.missed_ticks:
            return
        for _ in range(2 if number in self.world.doubled_ticks else 1):
            plan_warmup(self.services, WarmupTick())
            self.clock.at_ms += DISPATCH_LAG_MS
            for tick in self.queue.take_ticks():
                dispatch_shard(self.services, tick)
            self.clock.at_ms -= DISPATCH_LAG_MS

    def _wave(self) -> None:
        """Claim what is visible and start as much of it as the limits let."""
        now_ms = self.clock.at_ms
        wave: list[_Flight] = []
        demand: Counter[str] = Counter()
        day_limits: dict[str, int] = {}
        for visible_ms, mail in self.queue.take_mails(self.world.concurrency - len(self._flights)):
            self.tally.oldest_ms = max(self.tally.oldest_ms, now_ms - visible_ms)
            flight = self._claim(mail, now_ms)
            if flight is not None:
                wave.append(flight)
                demand[mail.user_id] += 1
                day_limits[mail.user_id] = mail.user_day_limit
        if not wave:
            return
        grant = self._limits.take({user: UserDemand(count, day_limits[user]) for user, count in demand.items()})
        left = dict(grant.counts)
        for flight in wave:
            user = flight.mail.user_id
            if left.get(user, 0):
                left[user] -= 1
                self.tally.tokens += 1
                self._start(flight, max(now_ms, grant.valid_from_ms), grant.valid_until_ms)
            else:
                self.ledger.give_back(flight.claim, flight.answer, refused=False)
                again_ms = grant.retry_ms.get(user, now_ms)
                self._put_back(flight.mail, again_ms, limit_spread_s(again_ms, flight.mail.tick_end_ms))

    def _claim(self, mail: SendMessage, now_ms: int) -> _Flight | None:
        if now_ms >= mail.tick_end_ms + mail.tick_ms:
            self.tally.dropped += 1
            return None
        self._number += 1
        claim = Claim(LedgerKey(mail.day, mail.shard, mail.mailbox_id), mail.round, f"{self._number:012x}")
        answer = self.ledger.claim(
            claim,
            target=mail.target,
            now_ms=now_ms,
            next_ok_ms=now_ms + self._cooldown_ms(),
            day_end_ms=self.start_ms + DAY_MS,
        )
        if answer.outcome == "refused":
            if answer.reason == "too_early":
                self._put_back(mail, answer.next_ok_ms)
            return None
        if not self.mailboxes.is_active(mail.recipient_id):
            self.ledger.finish(claim, "failed")
            return None
        return _Flight(mail, claim, answer, self._is_reply(mail))

    def _is_reply(self, mail: SendMessage) -> bool:
        if mail.reply_to is None or mail.reply_to_shard is None:
            return False
        original = SendId.parse(mail.reply_to)
        key = LedgerKey(original.day, mail.reply_to_shard, original.mailbox_id)
        return self.ledger.state(key, original.round) == RoundState.SENT

    def _start(self, flight: _Flight, from_ms: int, until_ms: int) -> None:
        """MAIL FROM, if the connection opens within the tokens' window; else they are forfeited."""
        begin_ms = from_ms + int(self._random.uniform(0.5, 1.5) * self.world.connect_s * 1000)
        if begin_ms >= until_ms:
            self.tally.forfeited += 1
            self.ledger.give_back(flight.claim, flight.answer, refused=False)
            self._put_back(flight.mail, begin_ms)
            return
        self._count_start(flight, begin_ms)
        self.ledger.begin_data(flight.claim, now_ms=begin_ms, next_ok_ms=begin_ms + self._cooldown_ms())
        rest_s = max(0.1, self.world.send_s - self.world.connect_s) * self._random.uniform(0.5, 1.5)
        self._number += 1
        heappush(self._flights, (begin_ms + int(rest_s * 1000), self._number, flight))

    def _cooldown_ms(self) -> int:
        low, high = self.settings.mailbox_cooldown_min_ms, self.settings.mailbox_cooldown_max_ms
        return low + int(self._random.random() * (high - low + 1))

    def _count_start(self, flight: _Flight, begin_ms: int) -> None:
        tally, mail = self.tally, flight.mail
        tally.starts_by_half_minute[begin_ms // 30_000] += 1
        tally.starts_by_user_day[mail.user_id, begin_ms // DAY_MS] += 1
        tally.starts_by_user_hour[mail.user_id, begin_ms // 3_600_000] += 1
        last = self._last_start.get(mail.mailbox_id)
        if last is not None:
            tally.closest_gap_ms = min(tally.closest_gap_ms, begin_ms - last)
        self._last_start[mail.mailbox_id] = begin_ms

    def _put_back(self, mail: SendMessage, at_ms: int, spread_s: float = SPREAD_S) -> None:
        """Back on the queue when it is due again before its tick ends; otherwise the next tick offers it."""
        wait_s = delay_s(at_ms, self.clock.at_ms, self._random, spread_s)
        if self.clock.at_ms + wait_s * 1000 < mail.tick_end_ms:
            self.tally.put_back += 1
            self.queue.send_mails([(mail, wait_s)])
        else:
            self.tally.dropped += 1

    def _end_flights(self, *, everything: bool = False) -> None:
        while self._flights and (everything or self._flights[0][0] <= self.clock.at_ms):
            ended_ms, _, flight = heappop(self._flights)
            self._end(flight, ended_ms)

    def _end(self, flight: _Flight, ended_ms: int) -> None:
        chance = self._random.random()
        if chance < self.world.permanent_rate:
            self.tally.permanent += 1
            self.ledger.finish(flight.claim, "failed")
        elif chance < self.world.permanent_rate + self.world.transient_rate:
            self.tally.transient += 1
            if flight.answer.tries + 1 >= MAX_TRIES:
                self.ledger.finish(flight.claim, "failed")
            else:
                self.ledger.give_back(flight.claim, flight.answer, refused=True)
                self._put_back(flight.mail, ended_ms + self.settings.mailbox_cooldown_max_ms)
        else:
            self._arrive(flight)

    def _arrive(self, flight: _Flight) -> None:
        mail = flight.mail
        self.tally.arrived += 1
        self.ledger.finish(flight.claim, "sent_reply" if flight.is_reply else "sent")
        self.tally.replies += flight.is_reply
        if self._pairs is None and self.readers is None:
            return
        original = SendId.parse(mail.reply_to) if flight.is_reply and mail.reply_to else None
        recipient = original.mailbox_id if original else mail.recipient_id
        if self.readers is not None:
            self.tally.early_replies += original is not None and not self._was_found(mail, original)
            self.readers.arrived(flight.claim.key, mail.round, recipient, self.clock.at_ms)
        if self._pairs is not None:
            self._check_pair(mail, recipient, self._pairs)

    def _was_found(self, mail: SendMessage, original: SendId) -> bool:
        key = LedgerKey(original.day, mail.reply_to_shard or 0, original.mailbox_id)
        return self.readers is not None and self.readers.has_found(key, original.round)

    def _check_pair(self, mail: SendMessage, recipient: str, pairs: set[tuple[str, str]]) -> None:
        key = (mail.mailbox_id, mail.round)
        self.tally.duplicates += key in self._seen
        self._seen.add(key)
        self.tally.repeated_pairs += (mail.mailbox_id, recipient) in pairs
        self.tally.own_mail += mail.mailbox_id == recipient
        pairs.add((mail.mailbox_id, recipient))
