"""Who is visited in a tick, and when."""

from collections import Counter
from itertools import pairwise

import pytest

from mailtide.warmup.contracts import Engagement, ShardTick
from mailtide.warmup.control import set_paused
from mailtide.warmup.dispatch import dispatch_shard
from mailtide.warmup.reading.asking import TOGETHER_MS, due_visits, read_messages
from mailtide.warmup.reading.contracts import MAX_VISITS_A_MESSAGE, ReadMessage
from tests.support.warmup_bench import TICK_MS, Bench
from tests.support.warmup_pools import DAY, START, pool_of
from tests.support.warmup_reading import with_imap

MINUTE_MS = 60_000
BOXES = [f"box-{number}" for number in range(200)]


def reading_bench(count: int = 40, engagement: Engagement | None = None, **values: object) -> Bench:
    return Bench(with_imap(pool_of([1] * count), engagement), **values)


def asked(bench: Bench) -> list[tuple[ReadMessage, int]]:
    return bench.reads.take()


@pytest.mark.parametrize("minutes", [3, 30, 50, 720])
def test_each_mailbox_is_visited_once_in_each_interval_whatever_the_ticks_are(minutes: int) -> None:
    interval_ms = minutes * MINUTE_MS
    moments: dict[str, list[int]] = {box: [] for box in BOXES}
    for start_ms in range(START, START + 4 * 720 * MINUTE_MS, 13 * MINUTE_MS):
        for moment_ms, box in due_visits(BOXES, start_ms, start_ms + 13 * MINUTE_MS, interval_ms):
            assert start_ms <= moment_ms < start_ms + 13 * MINUTE_MS
            moments[box].append(moment_ms)
    for visits in moments.values():
        assert {after - before for before, after in pairwise(visits)} == {interval_ms}
        assert visits[0] - START < interval_ms


def test_visits_are_spread_over_the_interval() -> None:
    tenths = Counter(
        (moment - START) * 10 // (30 * MINUTE_MS)
        for moment, _ in due_visits(BOXES, START, START + 30 * MINUTE_MS, 30 * MINUTE_MS)
    )
    assert set(tenths) == set(range(10))
    assert max(tenths.values()) < 40


def test_messages_hold_neighbours_in_time_and_wait_for_their_moment() -> None:
    visits = due_visits(BOXES, START, START + TICK_MS, TICK_MS)
    now_ms = START + 2_500
    messages = read_messages(DAY, 3, visits, now_ms=now_ms, interval_ms=TICK_MS)
    assert sorted(box for message, _ in messages for box in message.mailbox_ids) == sorted(BOXES)
    moments = {box: moment for moment, box in visits}
    for message, delay_s in messages:
        first_ms, last_ms = (moments[message.mailbox_ids[end]] for end in (0, -1))
        assert last_ms - first_ms <= TOGETHER_MS
        assert len(message.mailbox_ids) <= MAX_VISITS_A_MESSAGE
        assert (message.day, message.shard, message.until_ms) == (DAY, 3, first_ms + TICK_MS)
        assert first_ms - 1_000 < now_ms + (delay_s - 1) * 1_000 < max(first_ms, now_ms)


def test_a_mailbox_that_is_due_twice_in_a_tick_stands_in_two_messages() -> None:
    messages = read_messages(
        DAY, 0, due_visits(["one"], START, START + 120_000, 60_000), now_ms=START, interval_ms=60_000
    )
    assert [message.mailbox_ids for message, _ in messages] == [("one",), ("one",)]


def test_what_the_next_round_does_is_not_asked_for_any_more() -> None:
    visits = due_visits(BOXES, START, START + TICK_MS, MINUTE_MS)
    late = read_messages(DAY, 0, visits, now_ms=START + TICK_MS - 1, interval_ms=MINUTE_MS)
    assert 0 < sum(len(message.mailbox_ids) for message, _ in late) == len(BOXES)


def test_a_day_of_ticks_asks_for_each_mailbox_every_interval() -> None:
    bench = reading_bench(10)
    visits: Counter[str] = Counter()
    for number in range(36):
        bench.tick(number)
        visits.update(box for message, _ in asked(bench) for box in message.mailbox_ids)
    assert set(visits.values()) == {12}
    assert len(visits) == 10


def test_full_quotas_are_visited_still_but_nobody_whom_a_person_or_a_provider_has_stopped() -> None:
    bench = reading_bench(read_minutes=10)
    for mail in bench.day():
        assert mail
    asked(bench)
    bench.mailboxes.set_status("u1-b0", "paused", "by a person")
    bench.mailboxes.set_status("u2-b0", "disconnected", "refused")
    set_paused(bench.bucket, paused=True, user_id="u3")
    bench.tick(143, late_ms=1_000)
    bench.tick(144)
    boxes = {box for message, _ in asked(bench) for box in message.mailbox_ids}
    assert boxes == {f"u{number}-b0" for number in range(40)} - {"u1-b0", "u2-b0", "u3-b0"}


def test_owners_who_want_nothing_marked_are_visited_all_the_same() -> None:
    bench = reading_bench(engagement=Engagement(read=False), read_minutes=10)
    bench.tick(0)
    assert sum(len(message.mailbox_ids) for message, _ in asked(bench)) == 40


def test_nobody_is_visited_without_a_server_or_when_reading_is_off_or_on_demand() -> None:
    plain, off, on = Bench(pool_of([1] * 10)), reading_bench(10, read_minutes=0), reading_bench(10, read_minutes=1)
    for bench in (plain, off):
        bench.tick(0)
        assert asked(bench) == []
    on.tick(0)
    asked(on)
    demand = ShardTick(day=DAY, start_ms=START, end_ms=START + TICK_MS, shard=0, request_id="r1")
    dispatch_shard(on.services, demand)
    assert asked(on) == []
