"""Capacity: the yardstick, the worker mode that it replaces, and what the limits refuse."""

import re

import pytest

from mailtide.cli.warmup import warmup
from mailtide.warmup.capacity import Capacity, capacity, worker_mode
from mailtide.warmup.settings import WarmupSettings
from mailtide.warmup.size import ADVICE, size_threshold, size_warning
from mailtide.warmup.worker_day import PAUSE_S, WorkerSettings, live_worker_day
from tests.support.template import load_template


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


@pytest.mark.parametrize(
    ("mailboxes", "threshold"),
    [
        (0, 0),
        (499, 0),
        (500, 500),
        (999, 500),
        (1_000, 1_000),
        (4_999, 1_000),
        (5_000, 5_000),
        (9_999, 5_000),
        (10_000, 10_000),
        (100_000, 10_000),
    ],
)
def test_each_threshold_warns_with_what_to_do(mailboxes: int, threshold: int) -> None:
    assert size_threshold(mailboxes) == threshold
    warning = size_warning(mailboxes)
    if not threshold:
        assert warning is None
        return
    assert warning is not None
    assert warning.startswith(f"{mailboxes:,} mailboxes are {threshold:,} or more: ")
    assert warning.endswith(ADVICE[threshold])
    assert len(set(ADVICE.values())) == 4
    assert warning in answer(users=mailboxes, per_user=1).warnings


def test_advice_names_what_exists() -> None:
    """Parameters of the template, commands, processes: what a reader is to act on."""
    parameters = load_template()["Parameters"]
    for sentence in ADVICE.values():
        for name in re.findall(r"\b(?:Warmup|Alarm)[A-Za-z]+", sentence):
            assert name in parameters
        for command in re.findall(r"`mailtide warmup ([a-z]+)", sentence):
            assert command in warmup.commands


def test_a_pool_near_its_limits_is_warned_of_as_by_the_alarm() -> None:
    found = answer(users=1_000)
    assert found.limit_share == pytest.approx(3_000_000 / 3_600_000, abs=1e-4)
    assert "83% of what the limits carry" in found.warnings[-1]
    assert all("limits carry" not in sentence for sentence in answer(users=950).warnings)


OLD_SETTINGS = [
    (1, 15, 100, 20, 9_600, 320),
    (100, 10, 200, 50, 2_880_000, 96_000),
    (50, 8, 500, 100, 4_500_000, 150_000),
]


@pytest.mark.parametrize(("workers", "interval", "batch", "lanes", "mails", "mailboxes"), OLD_SETTINGS)
def test_a_simulated_day_of_the_old_settings_sends_what_the_origin_says(
    workers: int, interval: int, batch: int, lanes: int, mails: int, mailboxes: int
) -> None:
    """Exactly so many mailboxes get their 30 mails; with one more they do not, and no mail more is sent."""
    old = WorkerSettings(workers=workers, interval_minutes=interval, batch_size=batch, lanes=lanes, send_s=8.0)
    full = live_worker_day(mailboxes, 30, old)
    assert (full.sent, full.quotas_met, full.quotas_missed, full.faults) == (mails, mailboxes, 0, ())
    assert full.mailboxes_carried == mailboxes
    assert full.peak_minute == workers * batch, "all of them at once: the worker mode does not pace"
    beyond = live_worker_day(mailboxes + 1, 30, old)
    assert beyond.sent == mails
    assert beyond.quotas_missed > 0
    assert len(beyond.faults) == 1


def test_a_run_that_lasts_longer_than_its_interval_costs_the_next_one() -> None:
    slow = WorkerSettings(workers=1, interval_minutes=15, batch_size=100, lanes=1, send_s=8.0)
    assert slow.run_s == 100 * (8 + PAUSE_S)
    assert live_worker_day(320, 30, slow).sent == 4_800
    assert live_worker_day(0, 30, slow).sent == 0
