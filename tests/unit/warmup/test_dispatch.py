"""Dispatch: what is offered at a tick, in which order, how much of it, and the end of the day."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

import pytest

from mailtide.contracts import new_token
from mailtide.warmup import keys
from mailtide.warmup.contracts import (
    LedgerKey,
    LedgerView,
    MailboxProfile,
    RoundState,
    SendMessage,
    SendWindow,
    ShardTick,
    WarmupTick,
    day_of,
    day_start_ms,
)
from mailtide.warmup.control import read_control, set_paused
from mailtide.warmup.days import Member, RosterStore
from mailtide.warmup.dispatch import dispatch_shard
from mailtide.warmup.ids import SendId
from mailtide.warmup.memory import MemoryLedger, MemoryMailboxes, MemoryMailQueue, MemoryObjects, VirtualClock
from mailtide.warmup.objects import QuotaSheet, ShardSummary
from mailtide.warmup.plan import plan_warmup
from mailtide.warmup.ports import CLAIM_TTL_MS, Claim, Outcome
from mailtide.warmup.services import PlanningServices
from mailtide.warmup.share import shard_share, tick_budget
from mailtide.warmup.store import read
from tests.support.warmup_pools import DAY, END, START, pool_of, profile, settings

TICK_MS = 600_000
END_OF_SLOTS_MS = 86_400_000 * 92 // 100
NEXT_DAY = DAY + timedelta(days=1)


class Bench:
    """Planning and dispatch over memory, one shard unless told."""

    def __init__(self, profiles: Sequence[MailboxProfile], **values: object) -> None:
        self.clock = VirtualClock(START)
        self.queue = MemoryMailQueue(self.clock)
        self.ledger = MemoryLedger()
        self.mailboxes = MemoryMailboxes(profiles)
        self.bucket = MemoryObjects()
        self.services = PlanningServices(
            bucket=self.bucket,
            rosters=RosterStore(self.bucket),
            mailboxes=self.mailboxes,
            ledger=self.ledger,
            queue=self.queue,
            clock=self.clock,
            settings=settings(**{"shards": 1, **values}),
        )
        self.cooldown_ms = self.services.settings.mailbox_cooldown_max_ms

    def tick(self, number: int, *, late_ms: int = 0) -> list[SendMessage]:
        """Dispatch one tick of the time since START (144 are the next day's first); the mails it queued, in their order."""
        self.clock.at_ms = START + number * TICK_MS + late_ms
        plan_warmup(self.services, WarmupTick())
        for tick in self.queue.take_ticks():
            dispatch_shard(self.services, tick)
        return self.queued()

    def queued(self) -> list[SendMessage]:
        now_ms = self.clock.at_ms
        self.clock.at_ms = now_ms + 901_000
        mails = [mail for _, mail in self.queue.take_mails(1_000_000)]
        self.clock.at_ms = now_ms
        return mails

    def member(self, mailbox_id: str) -> Member:
        shard = self.services.rosters.shard(DAY, 0)
        assert shard is not None
        return next(member for member in shard.members if member.mailbox_id == mailbox_id)

    def claim(self, mail: SendMessage, now_ms: int | None = None) -> Claim:
        claim = Claim(LedgerKey(mail.day, mail.shard, mail.mailbox_id), mail.round, new_token())
        now_ms = mail.due_ms if now_ms is None else now_ms
        answer = self.ledger.claim(
            claim, target=mail.target, now_ms=now_ms, next_ok_ms=now_ms + self.cooldown_ms, day_end_ms=END
        )
        assert answer.outcome == "held", answer
        return claim

    def send(self, mail: SendMessage, outcome: Outcome = "sent") -> None:
        claim = self.claim(mail)
        assert self.ledger.begin_data(claim, now_ms=mail.due_ms, next_ok_ms=mail.due_ms + self.cooldown_ms)
        assert self.ledger.finish(claim, outcome)

    def view(self, mailbox_id: str) -> LedgerView:
        found = self.ledger.read(LedgerKey(DAY, 0, mailbox_id))
        assert found is not None
        return found

    def day(self, ticks: Iterable[int] = range(144)) -> Iterator[SendMessage]:
        """The mails of these ticks, each sent."""
        for number in ticks:
            for mail in self.tick(number):
                self.send(mail)
                yield mail

    def summary(self, day_ahead: int = 0) -> ShardSummary:
        found = read(self.bucket, keys.summary(DAY + timedelta(days=day_ahead), 0), ShardSummary)
        assert found is not None
        return found


def ids(mails: Sequence[SendMessage]) -> Counter[SendId]:
    return Counter(mail.send_id for mail in mails)


@pytest.fixture
def bench() -> Bench:
    return Bench(pool_of([1] * 100))


def test_each_slot_is_offered_in_its_tick_and_when_it_is_due(bench: Bench) -> None:
    seen: Counter[SendId] = Counter()
    for number in range(144):
        for mail in bench.tick(number, late_ms=2_000):
            slot = START + bench.member(mail.mailbox_id).due[mail.round]
            assert START + number * TICK_MS <= slot < START + (number + 1) * TICK_MS
            assert mail.due_ms == max(slot, bench.clock.at_ms) or mail.due_ms >= bench.clock.at_ms > slot
            assert mail.tick_end_ms == START + (number + 1) * TICK_MS
            bench.send(mail)
            seen[mail.send_id] += 1
    assert len(seen) == 3_000
    assert set(seen.values()) == {1}


def test_delays_spread_the_mails_over_the_tick(bench: Bench) -> None:
    bench.clock.at_ms = START + 2_500
    plan_warmup(bench.services, WarmupTick())
    (tick,) = bench.queue.take_ticks()
    dispatch_shard(bench.services, tick)
    visible: list[tuple[int, SendMessage]] = []
    while bench.clock.at_ms < START + TICK_MS + 2_000:
        visible += [(at_ms, mail) for at_ms, mail in bench.queue.take_mails(1_000)]
        bench.clock.at_ms += 1_000
    assert all(0 <= at_ms - mail.due_ms < 1_000 for at_ms, mail in visible)
    thirds = Counter((mail.due_ms - START) * 3 // TICK_MS for _, mail in visible)
    assert set(thirds) == {0, 1, 2}


def test_a_doubled_tick_is_dispatched_once_and_a_repeated_crash_gives_the_same_ids(bench: Bench) -> None:
    for number in range(7):
        for mail in bench.tick(number):
            bench.send(mail)
    first = bench.tick(7)
    assert bench.tick(7, late_ms=5_000) == []
    bench.bucket.delete(keys.summary(DAY, 0))
    assert ids(bench.tick(7, late_ms=9_000)) == ids(first)


def test_a_missed_tick_is_caught_up_by_the_next(bench: Bench) -> None:
    bench.tick(0)
    caught = bench.tick(5)
    late = [mail for mail in caught if bench.member(mail.mailbox_id).due[mail.round] < 5 * TICK_MS]
    due = {
        SendId(DAY, box, number)
        for box in (f"u{n}-b0" for n in range(100))
        for number, moment in enumerate(bench.member(box).due)
        if moment < 6 * TICK_MS
    }
    assert set(ids(caught)) == due
    assert late
    assert all(START + 5 * TICK_MS <= mail.due_ms < START + 6 * TICK_MS for mail in caught)


def test_catching_up_keeps_the_cooldown(bench: Bench) -> None:
    for mail in bench.tick(0):
        bench.send(mail)
    last: dict[str, int] = {}
    for number in range(40, 60):
        for mail in sorted(bench.tick(number), key=lambda mail: mail.due_ms):
            assert mail.due_ms - last.get(mail.mailbox_id, 0) >= 300_000
            last[mail.mailbox_id] = mail.due_ms
            bench.send(mail)


def test_a_tick_that_is_over_offers_nothing(bench: Bench) -> None:
    bench.tick(3)
    stale = ShardTick(day=DAY, start_ms=START + 4 * TICK_MS, end_ms=START + 5 * TICK_MS, shard=0)
    bench.clock.at_ms = stale.end_ms
    assert dispatch_shard(bench.services, stale).action == "tick_over"
    assert bench.queued() == []


def test_mailboxes_behind_come_first_and_the_share_is_kept() -> None:
    bench = Bench(pool_of([1] * 100), global_minute_limit=2, global_hourly_limit=120)
    for number in range(30):
        for mail in bench.tick(number):
            if not mail.mailbox_id.startswith("u1"):
                bench.send(mail)
    mails = bench.tick(30)
    assert len(mails) == 20
    assert bench.summary().held_back > 0
    assert all(mail.mailbox_id.startswith("u1") for mail in mails)


def test_paused_parked_and_stopped_mailboxes_are_skipped(bench: Bench) -> None:
    bench.tick(0)
    bench.mailboxes.set_status("u1-b0", "paused", "by a person")
    bench.mailboxes.park("u2-b0", START + 10 * TICK_MS, "daily limit")
    set_paused(bench.bucket, paused=True, user_id="u3")
    boxes = {mail.mailbox_id for number in range(1, 10) for mail in bench.tick(number)}
    assert not boxes & {"u1-b0", "u2-b0", "u3-b0"}
    assert len(boxes) > 80
    set_paused(bench.bucket, paused=False, user_id="u3")
    bench.mailboxes.set_status("u1-b0", "active", "")
    boxes = {mail.mailbox_id for number in range(10, 16) for mail in bench.tick(number)}
    assert {"u1-b0", "u2-b0", "u3-b0"} <= boxes
    set_paused(bench.bucket, paused=True)
    assert bench.tick(16) == []
    assert read_control(bench.bucket).paused


def test_a_window_of_local_time_is_kept_also_when_catching_up() -> None:
    window = SendWindow(opens_min=540, closes_min=1_020, weekdays=(5,), timezone="America/New_York")
    bench = Bench([*pool_of([1] * 80), profile("ny", "ny", window=window)])
    bench.tick(0)
    moments = []
    for mail in (mail for number in range(140) for mail in bench.tick(number)):
        if mail.mailbox_id == "ny":
            moments.append(mail.due_ms - START)
        else:
            bench.send(mail)
    assert moments
    assert min(moments) >= 14 * 3_600_000
    assert max(moments) < 22 * 3_600_000


def test_expired_claims_are_offered_again_and_expired_data_never(bench: Bench) -> None:
    mails = bench.tick(0)
    taken, stuck = mails[0], mails[1]
    bench.claim(taken)
    claim = bench.claim(stuck)
    assert bench.ledger.begin_data(claim, now_ms=stuck.due_ms, next_ok_ms=stuck.due_ms + 300_000)
    assert taken.send_id not in ids(bench.tick(1))
    again = ids(bench.tick(1 + -(-CLAIM_TTL_MS * 2 // TICK_MS)))
    assert again[taken.send_id] == 1
    assert stuck.send_id not in again
    view = bench.ledger.read(claim.key)
    assert view is not None
    assert (view.state(stuck.round), view.unknown) == (RoundState.UNKNOWN, 1)


def test_failed_mails_get_extra_slots_in_the_last_part_of_the_day(bench: Bench) -> None:
    """From 22:04:48 on, so already in the tick that holds this moment."""
    box = "u5-b0"
    for number in range(132):
        for mail in bench.tick(number):
            assert mail.round < 30
            bench.send(mail, "failed" if mail.mailbox_id == box and mail.round in {20, 25} else "sent")
    extra = [mail for number in range(132, 144) for mail in bench.tick(number) if mail.mailbox_id == box]
    assert {mail.round for mail in extra if mail.round >= 30} == {30, 31}
    first_ms = min(mail.due_ms for mail in extra if mail.round >= 30)
    assert first_ms >= START + END_OF_SLOTS_MS
    assert first_ms < START + 133 * TICK_MS
    view = bench.ledger.read(LedgerKey(DAY, 0, box))
    assert view is not None
    assert (view.sent, view.failed) == (28, 2)


def test_a_short_window_makes_good_what_fails_also_after_its_last_tick() -> None:
    """An hour from 09:00: its slots end at 09:55:12, and no tick begins between that and its end."""
    window = SendWindow(opens_min=540, closes_min=600)
    boxes = [*pool_of([1] * 80), *(profile(f"s{n}", f"s{n}", window=window) for n in range(20))]
    bench = Bench(boxes, mailbox_cooldown_min_ms=2_000, mailbox_cooldown_max_ms=20_000)
    late_ms = 0
    for number in range(54, 59):
        for mail in bench.tick(number, late_ms=2_000):
            if mail.mailbox_id.startswith("s"):
                late_ms = max(late_ms, mail.due_ms - START)
                bench.send(mail, "failed" if mail.mailbox_id == "s0" and mail.round == 3 else "sent")
    assert late_ms < 590 * 60_000
    last = [mail for mail in bench.tick(59, late_ms=2_000) if mail.mailbox_id.startswith("s")]
    extra = [mail for mail in last if mail.round >= mail.target]
    assert extra
    assert all(START + 540 * 60_000 + 3_312_000 <= mail.due_ms < START + 600 * 60_000 - 30_000 for mail in extra)
    # Nobody is offered more than what is missing and one spare, and a spare stands behind all that is due.
    by_box = Counter(mail.mailbox_id for mail in extra)
    with_due = {mail.mailbox_id for mail in last if mail.round < mail.target}
    known = {"s0"} if bench.view("s0").state(3) == RoundState.FAILED else set()
    assert by_box.keys() == with_due | known
    assert all(count <= 1 + (box in known) for box, count in by_box.items())
    fails = next(mail.send_id for mail in last if mail.mailbox_id in with_due - known and mail.round < mail.target)
    for mail in sorted(last, key=lambda mail: mail.due_ms):
        view = bench.view(mail.mailbox_id)
        if view.sent + view.unknown + view.in_flight < mail.target:
            bench.send(mail, "failed" if mail.send_id == fails else "sent")
        else:
            refused = bench.ledger.claim(
                Claim(LedgerKey(DAY, 0, mail.mailbox_id), mail.round, new_token()),
                target=mail.target,
                now_ms=mail.due_ms,
                next_ok_ms=mail.due_ms,
                day_end_ms=END,
            )
            assert refused.reason == "quota"
    for number in range(20):
        view = bench.view(f"s{number}")
        assert view.sent == view.target, "the quota is full"


def test_a_whole_day_needs_no_spare(bench: Bench) -> None:
    assert max(mail.round for mail in bench.day()) == 29


def test_a_mailbox_that_is_behind_gets_its_extra_slots_at_once(bench: Bench) -> None:
    box = "u5-b0"
    extra = set()
    for number in range(60):
        for mail in bench.tick(number):
            bench.send(mail, "failed" if mail.mailbox_id == box else "sent")
            extra |= {(mail.mailbox_id, mail.round)} if mail.round >= 30 else set()
    assert {found for found, _ in extra} == {box}
    assert {number for _, number in extra} == set(range(30, 49))


def test_the_first_tick_after_midnight_closes_yesterday(bench: Bench) -> None:
    left = []
    for number in range(143):
        for mail in bench.tick(number):
            if mail.mailbox_id == "u4-b0":
                continue
            if mail.mailbox_id == "u5-b0" and mail.round >= 20:
                left.append(mail)
            else:
                bench.send(mail)
    (last,) = [mail for mail in bench.tick(143) if mail.mailbox_id == "u5-b0"][:1]
    assert last.round >= 20
    flying = bench.claim(last)
    assert not bench.summary().closed
    bench.tick(144)
    view = bench.ledger.read(flying.key)
    assert view is not None
    assert view.closed
    assert view.state(last.round) == RoundState.SENDING
    assert (bench.summary().closed, bench.summary().in_flight) == (False, 1)
    bench.tick(146)
    view = bench.ledger.read(flying.key)
    assert view is not None
    assert set(view.states[20:30]) == {RoundState.MISSED}
    summary = bench.summary()
    assert (summary.closed, summary.missed, summary.sent) == (True, 30 + 10, 2_960)
    sheet = read(bench.bucket, keys.quotas(DAY, 0), QuotaSheet)
    assert sheet is not None
    assert Counter(row.status for row in sheet.rows) == {"complete": 98, "failing": 1, "on_track": 1}
    assert bench.summary(1).tick_ms == START + 146 * TICK_MS


def test_the_last_mail_of_yesterday_holds_back_the_first_of_today(bench: Bench) -> None:
    bench.tick(143)
    first = bench.tick(144)
    box = first[0].mailbox_id
    again = Bench(pool_of([1] * 100))
    again.tick(143)
    shard_key = LedgerKey(DAY, 0, box)
    claim = Claim(shard_key, 29, new_token())
    now_ms = END - 1_000
    again.ledger.claim(claim, target=30, now_ms=now_ms, next_ok_ms=now_ms + 300_000, day_end_ms=END)
    again.ledger.begin_data(claim, now_ms=now_ms, next_ok_ms=now_ms + 300_000)
    again.ledger.finish(claim, "sent")
    held = next(mail for mail in again.tick(144) if mail.mailbox_id == box)
    assert held.due_ms >= now_ms + 300_000 > END


def test_the_roster_of_the_next_day_is_made_at_its_first_tick(bench: Bench) -> None:
    bench.tick(0)
    assert bench.services.rosters.header(NEXT_DAY) is None
    assert all(mail.day == NEXT_DAY == day_of(mail.due_ms) for mail in bench.tick(144))
    assert bench.services.rosters.header(NEXT_DAY) is not None
    assert day_start_ms(NEXT_DAY) == END


def test_a_roster_of_nobody_is_not_written_and_the_first_mailboxes_need_not_wait_for_tomorrow() -> None:
    pool = pool_of([1] * 100)
    bench = Bench(pool)
    for box in pool:
        bench.mailboxes.set_status(box.mailbox_id, "paused", "for a test")
    assert bench.tick(0) == []
    assert bench.services.rosters.header(DAY) is None
    for box in pool:
        bench.mailboxes.set_status(box.mailbox_id, "active", "")
    assert bench.tick(1)
    header = bench.services.rosters.header(DAY)
    assert header is not None
    assert header.mailboxes == 100


def test_yesterday_is_closed_also_when_nobody_is_left() -> None:
    pool = pool_of([1] * 100)
    bench = Bench(pool)
    bench.tick(0)
    for box in pool:
        bench.mailboxes.set_status(box.mailbox_id, "paused", "for a test")
    assert bench.tick(144) == []
    assert bench.services.rosters.header(NEXT_DAY) is None
    assert bench.summary().closed


def test_old_days_are_forgotten_after_the_retention() -> None:
    bench = Bench(pool_of([1] * 10), metrics_retention_days=3)
    for ahead in range(6):
        bench.tick(144 * ahead)
    kept = [keys.parse_day(name) for name in bench.bucket.list_folders(keys.DAYS)]
    assert kept == [DAY + timedelta(days=ahead) for ahead in range(2, 6)]


def test_replies_name_their_original(bench: Bench) -> None:
    replies = [mail for mail in bench.day() if mail.reply_to]
    assert len({mail.send_id for mail in replies}) > 300
    for mail in replies:
        original = SendId.parse(mail.reply_to or "")
        assert original.mailbox_id != mail.mailbox_id
        due = bench.member(original.mailbox_id).due[original.round]
        slot = bench.member(mail.mailbox_id).due[mail.round]
        assert slot >= due + 5 * 60_000
        assert mail.reply_to_shard == 0


def test_shares_add_up_to_the_budget_and_every_shard_gets_its_due() -> None:
    planned = [300, 0, 1, 450, 249]
    totals = [0] * 5
    for number in range(2_000):
        parts = [shard_share(7, planned, shard, START + number * TICK_MS) for shard in range(5)]
        assert sum(parts) == 7
        totals = [total + part for total, part in zip(totals, parts, strict=True)]
    assert totals[1] == 0
    assert all(abs(total - 14 * part) < 200 for total, part in zip(totals, planned, strict=True))
    assert shard_share(7, [0, 0], 0, START) == 0
    assert tick_budget(settings(), TICK_MS) == 25_000
    assert tick_budget(settings(global_hourly_limit=600), TICK_MS) == 100


@pytest.mark.parametrize(("boost", "first"), [(1.0, "late"), (2.0, "behind")])
def test_the_boost_puts_mailboxes_behind_before_those_that_have_just_begun(boost: float, first: str) -> None:
    """At 11:00 some have sent 7 of 30 when 15 were due, others begin: weights 23/30 × boost and 1."""
    begins_at_11 = SendWindow(opens_min=660, closes_min=1_020)
    late = [profile(f"late-{n}", f"late-{n}", window=begins_at_11) for n in range(200)]
    behind = [profile(f"behind-{n}", f"behind-{n}") for n in range(60)]
    bench = Bench([*late, *behind], global_minute_limit=2, quota_priority_boost=boost)
    bench.clock.at_ms = START
    plan_warmup(bench.services, WarmupTick())
    for number in range(60):
        for round_ in range(7):
            key = LedgerKey(DAY, 0, f"behind-{number}")
            claim = Claim(key, bench.member(f"behind-{number}").in_order[round_], new_token())
            bench.ledger.claim(claim, target=30, now_ms=START, next_ok_ms=START, day_end_ms=END)
            bench.ledger.begin_data(claim, now_ms=START, next_ok_ms=START)
            bench.ledger.finish(claim, "sent")
    mails = bench.tick(66)
    assert len(mails) == 20
    assert {mail.mailbox_id.partition("-")[0] for mail in mails} == {first}


def test_settings_of_replies_and_of_the_daily_cap_reach_the_messages() -> None:
    def day(**values: object) -> list[SendMessage]:
        bench = Bench(pool_of([2] * 50), **values)
        return list(bench.day(range(0, 144, 8)))

    assert all(mail.reply_to is None for mail in day(reply_rate=0))
    often, seldom = (sum(mail.reply_to is not None for mail in day(reply_rate=rate)) for rate in (0.45, 0.1))
    assert often > 3 * seldom > 0
    assert {mail.user_day_limit for mail in day()} == {72}
    assert {mail.user_day_limit for mail in day(user_daily_cap=1.5)} == {90}


def test_a_longer_delay_makes_later_replies() -> None:
    def waits(**values: object) -> list[int]:
        bench = Bench(pool_of([1] * 60), **values)
        mails = [mail for mail in bench.day() if mail.reply_to]
        originals = {mail.send_id: SendId.parse(mail.reply_to or "") for mail in mails}
        return [
            bench.member(reply.mailbox_id).due[reply.round] - bench.member(original.mailbox_id).due[original.round]
            for reply, original in originals.items()
        ]

    assert min(waits(reply_delay_min=120, reply_delay_max=130)) >= 120 * 60_000
    assert min(waits(reply_delay_min=0, reply_delay_max=1)) < 20 * 60_000
