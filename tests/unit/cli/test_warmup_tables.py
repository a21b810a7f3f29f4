"""What `mailtide warmup` shows a person: every figure with its unit, nothing that a program would say."""

import re
from collections.abc import Iterable
from datetime import date

import pytest

from mailtide.cli.warmup_tables import Line, capacity_lines, day_lines, show, span, status_lines, worker_day_lines
from mailtide.warmup.capacity import capacity, worker_mode
from mailtide.warmup.metrics import WarmupMetrics
from mailtide.warmup.objects import QuotaCounts
from mailtide.warmup.settings import WarmupSettings
from mailtide.warmup.verdict import Verdict
from mailtide.warmup.worker_day import WorkerSettings, live_worker_day

STATUS = WarmupMetrics(
    day=date(2026, 11, 22),
    at_ms=1_795_318_263_000,
    total_mailboxes=1_200,
    active_mailboxes=1_190,
    planned_today=36_000,
    expected_by_now=9_000.4,
    emails_sent_today=8_990,
    emails_failed_today=10,
    failed_share=0.001,
    emails_unknown_today=1,
    in_flight=7,
    throughput_per_hour=1_499.6,
    quota_completion_rate=0.2497,
    quota_completion_rate_yesterday=None,
    queue_depth=5,
    oldest_message_age_seconds=600.0,
    dead_letters=None,
    limit_per_hour=150_000,
    tick_seconds=600,
    limit_share=0.01,
    as_of_ms=1_795_316_463_000,
    figures_age_seconds=1_800.0,
    shards_stale=1,
    size_threshold_crossed=1_000,
    system_health="degraded",
    quota=QuotaCounts(complete=1, on_track=1_180, behind=9, failing=0),
    shards_reporting=100,
    shards=100,
    pairing="Every guarantee holds.",
    warnings=(),
)
DAY = Verdict(
    day=date(2026, 11, 22),
    mailboxes=50,
    planned=1_500,
    sent=1_499,
    replies=345,
    quotas_met=49,
    quotas_missed=1,
    peak_half_minute=7,
    peak_minute=9,
    minute_limit=2_500,
    peak_hour=78,
    hour_limit=150_000,
    peak_user_hour=11,
    user_hour_limit=1_500,
    closest_gap_s=287.582,
    oldest_message_s=0.0,
    tokens=1_529,
    forfeited=0,
    transient_refusals=20,
    permanent_refusals=9,
    put_back=8,
    duplicates=0,
    pairing="Every guarantee holds.",
    busy_minutes=0,
    faults=("1 mailboxes missed their quota.",),
)
CAPACITY = capacity(
    users=1_000, mailboxes_per_user=100, mails_per_mailbox=30, seconds_per_send=8.0, settings=WarmupSettings()
)
OLD = worker_mode(interval_minutes=15, batch_size=100, workers=2)
OLD_DAY = live_worker_day(320, 30, WorkerSettings(workers=1, interval_minutes=15, batch_size=100, lanes=20, send_s=8.0))


def as_text(lines: Iterable[Line]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in lines)


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (
            status_lines(STATUS),
            (
                "day: 2026-11-22 (UTC)",
                "figures as of: 03:01:03, 30 min ago; 100 of 100 shards",
                "mailboxes: 1,200, 1,190 of them active",
                "1 complete, 1,180 on track, 9 behind, 0 failing",
                "planned today: 36,000 mails, 9,000 of them by then",
                "sent today: 8,990 mails, 25.0% of the day",
                "yesterday: no roster",
                "pace: 1,500 mails in the last hour; the limits allow 150,000",
                "the oldest due mail had waited 10 min",
            ),
        ),
        (
            capacity_lines(CAPACITY, OLD),
            (
                "pool: 100,000 mailboxes, 3,000,000 mails a day",
                "34.7 mails a second over the day, 2,264.5 a minute while slots last",
                "do the limits allow it: yes",
                "limits: 3,600,000 mails a day; the pool is 83% of that",
                "3.75 write units a mail, 11,250,000 a day",
                "$ a day, DynamoDB: 10.45",
                "  a worker: 9,600 mails a day, 320 mailboxes",
                "  all workers: 19,200 mails a day, 640 mailboxes",
            ),
        ),
        (
            day_lines(DAY),
            (
                "quotas met: 49 of 50 mailboxes",
                "mails: 1,499 of 1,500 planned; 345 of them replies",
                "most in a minute: 9 of at most 2,500",
                "closest two mails of a mailbox: 288 s",
            ),
        ),
        (
            worker_day_lines(OLD_DAY),
            (
                "worker mode: 1 worker, 96 runs of 65 s each a day",
                "mails: 9,600 of 9,600 planned: enough for 320 mailboxes",
            ),
        ),
    ],
)
def test_figures_have_their_units(lines: Iterable[Line], parts: tuple[str, ...]) -> None:
    text = as_text(lines)
    for part in parts:
        assert part in text
    assert not re.search(r"[a-z]_[a-z]|None|True|False|\(\)|\[|e\+", text), "as a program would say it"


def test_a_pool_that_the_limits_refuse() -> None:
    refused = capacity(
        users=1, mailboxes_per_user=10, mails_per_mailbox=500, seconds_per_send=8.0, settings=WarmupSettings()
    )
    assert "do the limits allow it: no" in as_text(capacity_lines(refused, None))


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2.0 h")])
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_it_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    show([("a", "1 s"), ("longer name", "[red]2[/] mails")])
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "a            1 s",
        "longer name  [red]2[/] mails",
    ]
