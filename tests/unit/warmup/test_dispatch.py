"""Dispatch: what is offered at a tick, in which order, and how much of it."""

from collections import Counter

import pytest

from mailtide.contracts import new_token
from mailtide.errors import InputError
from mailtide.warmup import keys
from mailtide.warmup.contracts import (
    LedgerKey,
    RoundState,
    SendMessage,
    SendWindow,
    ShardTick,
    WarmupTick,
)
from mailtide.warmup.control import read_control, set_paused
from mailtide.warmup.dispatch import dispatch_shard
from mailtide.warmup.ids import SendId
from mailtide.warmup.plan import plan_warmup
from mailtide.warmup.ports import CLAIM_TTL_MS, Claim
from mailtide.warmup.share import shard_share, tick_budget
from tests.support.warmup_bench import TICK_MS, Bench, bench, ids
from tests.support.warmup_pools import DAY, END, START, pool_of, profile, settings

__all__ = ["bench"]


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


def test_a_switch_that_cannot_be_read_stops_everything_and_is_mended_by_a_person(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """The tick goes on, without a mail; nothing writes over the file, which would forget the users who are paused."""
    bench.tick(0)
    set_paused(bench.bucket, paused=True, user_id="u3")
    kept = bench.bucket.get(keys.CONTROL)
    assert kept is not None
    bench.bucket.replace(keys.CONTROL, kept.body[:-9], expected_etag=kept.etag)
    broken = bench.bucket.get(keys.CONTROL)
    assert broken is not None
    assert bench.tick(1) == []
    assert "warmup/control.json is not what mailtide wrote; nothing is sent" in caplog.text
    for paused in (True, False):
        with pytest.raises(
            InputError, match=r"^warmup/control\.json is not what mailtide wrote, so everything is stopped"
        ):
            set_paused(bench.bucket, paused=paused)
    assert bench.bucket.get(keys.CONTROL) == broken
    bench.bucket.replace(keys.CONTROL, kept.body, expected_etag=broken.etag)
    boxes = {mail.mailbox_id for number in range(2, 6) for mail in bench.tick(number)}
    assert boxes
    assert not any(box.startswith("u3-") for box in boxes)


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
