"""Capacity: the yardstick, the worker mode that it replaces, and what the limits refuse."""

import pytest

from mailtide.warmup.capacity import Capacity, capacity, worker_mode
from mailtide.warmup.settings import WarmupSettings
from mailtide.warmup.size import size_note


def answer(users: int = 1_000, per_user: int = 100, mails: int = 30, **values: int) -> Capacity:
    return capacity(
        users=users,
        mailboxes_per_user=per_user,
        mails_per_mailbox=mails,
        seconds_per_send=8.0,
        settings=WarmupSettings.model_validate(values),
    )


@pytest.mark.parametrize(
    ("interval", "batch", "workers", "mails_a_worker", "mailboxes_a_worker", "mails", "mailboxes"),
    [
        (15, 100, 1, 9_600, 320, 9_600, 320),
        (10, 200, 100, 28_800, 960, 2_880_000, 96_000),
        (8, 500, 50, 90_000, 3_000, 4_500_000, 150_000),
    ],
)
def test_the_worker_mode(
    interval: int, batch: int, workers: int, mails_a_worker: int, mailboxes_a_worker: int, mails: int, mailboxes: int
) -> None:
    found = worker_mode(interval_minutes=interval, batch_size=batch, workers=workers)
    assert (found.mails_a_worker, found.mailboxes_a_worker) == (mails_a_worker, mailboxes_a_worker)
    assert (found.mails_a_day, found.mailboxes) == (mails, mailboxes)


def test_the_yardstick() -> None:
    found = answer()
    assert (found.mailboxes, found.mails_a_day, found.needed_per_second) == (100_000, 3_000_000, 34.72)
    assert (found.limits_allow, found.limit_per_day) == (True, 3_600_000)
    assert found.senders == 7
    assert found.write_units_per_mail <= 4
    assert found.dollars_a_month < found.origin_dollars_a_month == 1_500


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"global_minute_limit": 2_000}, "WARMUP_GLOBAL_MINUTE_LIMIT"),
        ({"global_hourly_limit": 10_000}, "WARMUP_GLOBAL_HOURLY_LIMIT"),
        ({"user_hourly_limit": 100}, "WARMUP_USER_HOURLY_LIMIT"),
        ({"mailbox_cooldown_max_ms": 3_600_000}, "WARMUP_MAILBOX_COOLDOWN_MAX_MS"),
    ],
)
def test_what_the_limits_refuse(values: dict[str, int], name: str) -> None:
    found = answer(**values)
    assert not found.limits_allow
    assert len(found.refusals) == 1
    assert name in found.refusals[0]


def test_more_in_flight_needs_fewer_senders() -> None:
    assert answer(max_concurrent=100).senders == 4
    assert answer(users=10).senders == 1


def test_nothing_costs_nothing_but_the_ticks() -> None:
    found = answer(users=0)
    assert (found.mails_a_day, found.write_units_per_mail, found.dollars_a_day["egress"]) == (0, 0, 0)


def test_every_threshold_says_something_else() -> None:
    assert len({size_note(size) for size in (499, 500, 1_000, 5_000, 10_000)}) == 5
    assert size_note(999) == size_note(500)
