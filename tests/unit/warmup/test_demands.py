"""Demands of people: what is overdue is offered now, for those who are named, and never beside the rules."""

import pytest

from mailtide.contracts import new_token
from mailtide.warmup.contracts import SendMessage, SendWindow, ShardTick
from mailtide.warmup.control import set_paused
from mailtide.warmup.dispatch import dispatch_shard
from tests.support.warmup_bench import TICK_MS, Bench
from tests.support.warmup_pools import DAY, START, pool_of, profile

NOON = 72


def demand(bench: Bench, number: int = NOON, *, late_ms: int = 0, **named: str) -> list[tuple[int, SendMessage]]:
    """What a demand in a tick queues: delay in seconds, mail."""
    start_ms = START + number * TICK_MS
    bench.clock.at_ms = start_ms + late_ms
    message = ShardTick(day=DAY, start_ms=start_ms, end_ms=start_ms + TICK_MS, shard=0, request_id=new_token(), **named)
    report = dispatch_shard(bench.services, message)
    assert report.action == "demanded"
    return [((mail.due_ms - bench.clock.at_ms) // 1000, mail) for mail in bench.queued()]


@pytest.fixture
def bench() -> Bench:
    """Nothing but the roster: every tick until noon was missed."""
    made = Bench(pool_of([2] * 50))
    made.tick(0)
    return made


def test_each_named_mailbox_gets_its_oldest_overdue_mail_at_once(bench: Bench) -> None:
    found = demand(bench, user_id="u7")
    assert {mail.mailbox_id for _, mail in found} == {"u7-b0", "u7-b1"}
    for delay_s, mail in found:
        member = bench.member(mail.mailbox_id)
        assert delay_s == 0
        assert mail.round == member.in_order[0]
        assert member.due[mail.round] <= NOON * TICK_MS


def test_a_demand_for_one_mailbox_leaves_the_others_and_the_summary_alone(bench: Bench) -> None:
    before = bench.summary()
    assert [mail.mailbox_id for _, mail in demand(bench, mailbox_id="u3-b1")] == ["u3-b1"]
    assert demand(bench, mailbox_id="nobody") == []
    assert bench.summary() == before


def test_a_mailbox_that_is_cooling_down_waits(bench: Bench) -> None:
    ((_, first),) = demand(bench, mailbox_id="u3-b1")
    bench.send(first)
    ((delay_s, second),) = demand(bench, mailbox_id="u3-b1", late_ms=10_000)
    assert second.round != first.round
    assert delay_s == 290
    # Too late for this tick: the next one offers it.
    bench.send(second)
    assert demand(bench, mailbox_id="u3-b1", late_ms=400_000) == []


def test_a_complete_mailbox_gets_nothing() -> None:
    bench = Bench(pool_of([1] * 40, max_daily=1))
    bench.tick(0)
    ((_, only),) = demand(bench, number=140, mailbox_id="u5-b0")
    bench.send(only)
    assert demand(bench, number=141, mailbox_id="u5-b0") == []


def test_nothing_is_offered_for_whoever_is_stopped(bench: Bench) -> None:
    set_paused(bench.bucket, paused=True, user_id="u7")
    assert demand(bench, user_id="u7") == []
    set_paused(bench.bucket, paused=False, user_id="u7")
    assert demand(bench, user_id="u7")
    # An operator's word outlasts the user's own.
    set_paused(bench.bucket, paused=True, user_id="u7", held=True)
    set_paused(bench.bucket, paused=False, user_id="u7")
    assert demand(bench, user_id="u7") == []
    set_paused(bench.bucket, paused=False, user_id="u7", held=True)
    assert demand(bench, user_id="u7")
    bench.mailboxes.set_status("u7-b0", "paused", "")
    assert {mail.mailbox_id for _, mail in demand(bench, user_id="u7")} == {"u7-b1"}


def test_a_closed_window_is_not_opened_by_a_demand() -> None:
    morning = SendWindow(opens_min=60, closes_min=11 * 60)
    bench = Bench([profile(f"box-{number}", f"user-{number}", window=morning) for number in range(40)])
    bench.tick(0)
    assert demand(bench, number=NOON, mailbox_id="box-3") == []
    assert demand(bench, number=NOON // 2, mailbox_id="box-3")
