"""Dispatch: what failed or was missed is offered again, in spare slots and at once for those behind."""

from collections import Counter

from mailtide.contracts import new_token
from mailtide.warmup.contracts import (
    LedgerKey,
    RoundState,
    SendWindow,
)
from mailtide.warmup.ports import Claim
from tests.support.warmup_bench import END_OF_SLOTS_MS, TICK_MS, Bench, bench
from tests.support.warmup_pools import DAY, END, START, pool_of, profile

__all__ = ["bench"]


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
