"""A reply waits until a visit has found what it answers, and never costs its mailbox a mail (docs/decisions/warmup.md)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from mailtide.errors import TransientError
from mailtide.warmup.contracts import (
    Engagement,
    LedgerKey,
    MailboxProfile,
    Ramp,
    SendMessage,
    SendWindow,
    ShardTick,
)
from mailtide.warmup.dispatch import dispatch_shard
from mailtide.warmup.ids import SendId
from mailtide.warmup.reading.at_tick import AWAY
from mailtide.warmup.reading.contracts import Placement, PlacementDay, ReadMessage, Verdict
from mailtide.warmup.reading.memory import MemoryPlacements, MemoryReadQueue
from mailtide.warmup.reading.simulated import ReadWorld
from mailtide.warmup.reading.waiting import LONGEST_WAIT
from mailtide.warmup.replies import planned_replies
from mailtide.warmup.services import ReadingPorts
from mailtide.warmup.simulate import Simulation, World
from tests.support.warmup_bench import END_OF_SLOTS_MS, TICK_MS, Bench
from tests.support.warmup_pools import DAY, START, pool_of, profile, settings
from tests.support.warmup_reading import with_imap

WAIT_TICKS = 144 // LONGEST_WAIT


def reading_bench(engagement: Engagement | None = None, **values: object) -> Bench:
    return Bench(with_imap(pool_of([1] * 32), engagement), **values)


def planned(bench: Bench, after_tick: int = 10, before_tick: int = 40) -> tuple[str, int, SendId]:
    """A mailbox of the bench, its first reply in this part of the day, and what that answers; the
    mails before it are sent, and all but that one found."""
    bench.tick(0)
    shard = bench.services.rosters.shard(DAY, 0)
    assert shard is not None
    found = [
        (member.due[number], member.mailbox_id, number, SendId(DAY, shard.day.pool.mailbox_ids[sender], original))
        for member in shard.members
        for number, (sender, original) in planned_replies(shard, member).items()
        if after_tick * TICK_MS <= member.due[number] < before_tick * TICK_MS
    ]
    due_ms, mailbox_id, number, original = min(found)
    for tick in range(1, due_ms // TICK_MS):
        for mail in bench.tick(tick):
            bench.send(mail)
            if mail.send_id != original:
                find(bench, mail.send_id, "inbox")
    return mailbox_id, number, original


def find(bench: Bench, original: SendId, verdict: Verdict) -> None:
    key = LedgerKey(DAY, 0, original.mailbox_id)
    bench.placements.record(key, {original.round: Placement(verdict)})


def offered(bench: Bench, tick: int, mailbox_id: str, number: int) -> SendMessage | None:
    """The one mail, or nothing; all others of the tick are sent."""
    found = None
    for mail in bench.tick(tick):
        if (mail.mailbox_id, mail.round) == (mailbox_id, number):
            found = mail
        else:
            bench.send(mail)
    return found


def slot_tick(bench: Bench, mailbox_id: str, number: int) -> int:
    return bench.member(mailbox_id).due[number] // TICK_MS


@pytest.mark.parametrize("verdict", ["inbox", "junk"])
def test_a_reply_goes_out_in_its_slot_when_its_original_was_found(verdict: Verdict) -> None:
    bench = reading_bench()
    mailbox_id, number, original = planned(bench)
    find(bench, original, verdict)
    mail = offered(bench, slot_tick(bench, mailbox_id, number), mailbox_id, number)
    assert mail is not None
    assert mail.reply_to == str(original)
    assert mail.due_ms == START + bench.member(mailbox_id).due[number]


def test_until_it_was_found_the_reply_waits_and_then_comes_as_a_late_one() -> None:
    bench = reading_bench()
    mailbox_id, number, original = planned(bench)
    tick = slot_tick(bench, mailbox_id, number)
    assert [offered(bench, tick + later, mailbox_id, number) for later in range(3)] == [None] * 3
    find(bench, original, "inbox")
    mail = offered(bench, tick + 3, mailbox_id, number)
    assert mail is not None
    assert mail.reply_to == str(original)
    assert bench.summary().oldest_due_ms is None, "no sender was missing: no alarm"


def test_what_is_missing_is_not_answered_and_not_waited_for() -> None:
    bench = reading_bench()
    mailbox_id, number, original = planned(bench)
    find(bench, original, "missing")
    mail = offered(bench, slot_tick(bench, mailbox_id, number), mailbox_id, number)
    assert mail is not None
    assert (mail.reply_to, mail.reply_to_shard) == (None, None)
    assert mail.recipient_id != mailbox_id


def test_after_a_twelfth_of_the_open_time_the_slot_is_an_ordinary_mails() -> None:
    bench = reading_bench()
    mailbox_id, number, original = planned(bench)
    tick = slot_tick(bench, mailbox_id, number)
    for later in range(WAIT_TICKS + 1):
        assert offered(bench, tick + later, mailbox_id, number) is None
    mail = offered(bench, tick + WAIT_TICKS + 1, mailbox_id, number)
    assert mail is not None
    assert mail.reply_to is None
    find(bench, original, "inbox")
    answer = offered(bench, tick + WAIT_TICKS + 2, mailbox_id, number)
    assert answer is not None, "that mail was not sent"
    assert answer.reply_to == str(original)


def test_nothing_waits_in_the_last_8_percent() -> None:
    bench = reading_bench()
    last = END_OF_SLOTS_MS // TICK_MS
    mailbox_id, number, _ = planned(bench, last - 6, last)
    for tick in range(slot_tick(bench, mailbox_id, number), last):
        assert offered(bench, tick, mailbox_id, number) is None
    mail = offered(bench, last, mailbox_id, number)
    assert mail is not None
    assert mail.reply_to is None


def test_the_other_slots_of_the_mailbox_come_at_their_time() -> None:
    bench = reading_bench()
    bench.tick(0)
    shard = bench.services.rosters.shard(DAY, 0)
    assert shard is not None
    mails = list(bench.day(range(1, 60)))
    ordinary = {
        (member.mailbox_id, number)
        for member in shard.members
        for number, due_ms in enumerate(member.due)
        if TICK_MS <= due_ms < 60 * TICK_MS and number not in planned_replies(shard, member)
    }
    on_time = {(mail.mailbox_id, mail.round) for mail in mails if mail.due_ms == START + due(bench, mail)}
    assert ordinary <= on_time
    assert len(mails) > len(ordinary), "those that waited long enough"


def due(bench: Bench, mail: SendMessage) -> int:
    return bench.member(mail.mailbox_id).due[mail.round]


@pytest.mark.parametrize(
    "bench",
    [
        lambda: reading_bench(Engagement(read=False)),
        lambda: reading_bench(read_minutes=0),
        lambda: Bench(pool_of([1] * 32)),
    ],
    ids=["its owner wants nothing marked", "reading is off", "it has no IMAP server"],
)
def test_replies_of_others_do_not_wait(bench: object) -> None:
    assert callable(bench)
    made = bench()
    mailbox_id, number, original = planned(made)
    mail = offered(made, slot_tick(made, mailbox_id, number), mailbox_id, number)
    assert mail is not None
    assert mail.reply_to == str(original)


def test_a_demand_does_not_hurry_a_reply() -> None:
    bench = reading_bench()
    mailbox_id, number, original = planned(bench)
    tick = slot_tick(bench, mailbox_id, number)
    offered(bench, tick, mailbox_id, number)
    bench.clock.at_ms = START + (tick + 1) * TICK_MS
    demand = ShardTick(
        day=DAY,
        start_ms=START + (tick + 1) * TICK_MS,
        end_ms=START + (tick + 2) * TICK_MS,
        shard=0,
        request_id="r1",
        mailbox_id=mailbox_id,
    )
    dispatch_shard(bench.services, demand)
    assert bench.queued() == []
    find(bench, original, "inbox")
    dispatch_shard(bench.services, demand)
    assert [(mail.round, mail.reply_to) for mail in bench.queued()] == [(number, str(original))]


class Away(MemoryPlacements, MemoryReadQueue):
    """A table and a queue that do not answer."""

    def read_many(self, keys: Iterable[LedgerKey]) -> dict[LedgerKey, PlacementDay]:
        raise TransientError(f"read {len(list(keys))} keys: unavailable")

    def send_reads(self, messages: Sequence[tuple[ReadMessage, int]]) -> None:
        raise TransientError(f"send {len(messages)} messages: unavailable")


def test_a_table_or_queue_of_reading_that_is_away_stops_no_mail() -> None:
    bench = reading_bench(read_minutes=10)
    mailbox_id, number, _ = planned(bench)
    away = Away()
    bench.services = replace(bench.services, reading=ReadingPorts(placements=away, queue=away))
    tick = slot_tick(bench, mailbox_id, number)
    bench.clock.at_ms = START + tick * TICK_MS
    message = ShardTick(day=DAY, start_ms=bench.clock.at_ms, end_ms=bench.clock.at_ms + TICK_MS, shard=0)
    report = dispatch_shard(bench.services, message)
    assert report.details["warnings"] == [AWAY, AWAY]
    assert report.details["offered"] == len(bench.queued()) > 0


def four_hours() -> list[MailboxProfile]:
    ramp, window = Ramp(start_count=10, increase_by=5, max_daily=20), SendWindow(opens_min=540, closes_min=780)
    return [profile(f"u{user}-b0", f"u{user}", ramp=ramp, window=window) for user in range(24)]


@pytest.mark.parametrize(
    ("boxes", "world", "least_answered"),
    [
        (pool_of([1] * 30, max_daily=9), ReadWorld(), 40),
        (pool_of([1] * 30, max_daily=9), ReadWorld(down=(0, 1_440)), 0),
        (four_hours(), ReadWorld(lost=1.0), 0),
        (four_hours(), ReadWorld(down=(0, 1_440)), 0),
    ],
    ids=["all goes well", "nobody reads", "four hours, nothing is found", "four hours, nobody reads"],
)
def test_a_day_meets_every_quota_however_reading_goes(
    boxes: list[MailboxProfile], world: ReadWorld, least_answered: int
) -> None:
    rules = settings(global_minute_limit=30, global_hourly_limit=1_000, user_daily_cap=3, shards=1)
    day = Simulation(with_imap(boxes), day=DAY, settings=rules, world=World(seed=3, reading=world), check_pairs=True)
    tally = day.run()
    shard = day.services.rosters.shard(DAY, 0)
    assert shard is not None
    views = day.ledger.read_shard(DAY, 0)
    assert {member.mailbox_id: views[member.mailbox_id].sent - member.target for member in shard.members} == {
        member.mailbox_id: 0 for member in shard.members
    }
    assert (tally.duplicates, tally.own_mail, tally.early_replies) == (0, 0, 0)
    assert tally.repeated_pairs == 0
    assert tally.replies >= least_answered
    assert least_answered or not tally.replies
