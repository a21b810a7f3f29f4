"""Dispatch at the borders of days: yesterday closed, tomorrow's roster, nobody left, old days forgotten."""

from collections import Counter
from datetime import timedelta

from mailtide.contracts import new_token
from mailtide.warmup import keys
from mailtide.warmup.contracts import (
    LedgerKey,
    RoundState,
    day_of,
    day_start_ms,
)
from mailtide.warmup.objects import QuotaSheet
from mailtide.warmup.ports import Claim
from mailtide.warmup.store import read
from tests.support.warmup_bench import NEXT_DAY, TICK_MS, Bench, bench
from tests.support.warmup_pools import DAY, END, START, pool_of

__all__ = ["bench"]


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
