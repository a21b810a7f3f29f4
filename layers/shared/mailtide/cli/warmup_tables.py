"""What `mailtide warmup` shows a person: one line a figure, with its unit."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from mailtide.warmup.capacity import Capacity, WorkerMode
from mailtide.warmup.metrics import WarmupMetrics
from mailtide.warmup.reading.capacity import VisitCapacity
from mailtide.warmup.verdict import Verdict
from mailtide.warmup.worker_day import WorkerDay

type Line = tuple[str, str]
SERVICES = {
    "tables": "DynamoDB",
    "functions": "Lambda",
    "queues": "SQS",
    "bucket": "S3",
    "keys": "KMS",
    "logs and metrics": "CloudWatch",
    "egress": "egress",
}


def show(lines: Iterable[Line]) -> None:
    """Print them as a table without rules."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines:
        table.add_row(name, value)
    Console(highlight=False, markup=False).print(table)


def span(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3600:.1f} h"


def status_lines(found: WarmupMetrics) -> Iterator[Line]:
    """Of `mailtide warmup status`."""
    taken = datetime.fromtimestamp(found.as_of_ms / 1000, UTC)
    quota, yesterday = found.quota, found.quota_completion_rate_yesterday
    yield "day", f"{found.day} (UTC)"
    yield (
        "figures as of",
        f"{taken:%H:%M:%S}, {span(found.figures_age_seconds)} ago; {found.shards_reporting} of {found.shards} shards",
    )
    yield "health", found.system_health
    yield "mailboxes", f"{found.total_mailboxes:,}, {found.active_mailboxes:,} of them active"
    yield (
        "  by quota",
        f"{quota.complete:,} complete, {quota.on_track:,} on track, {quota.behind:,} behind, {quota.failing:,} failing",
    )
    yield "planned today", f"{found.planned_today:,} mails, {found.expected_by_now:,.0f} of them by then"
    yield "sent today", f"{found.emails_sent_today:,} mails, {found.quota_completion_rate:.1%} of the day"
    yield (
        "not sent",
        f"{found.emails_failed_today:,} failed, {found.emails_unknown_today:,} unknown, {found.in_flight:,} in flight",
    )
    yield "yesterday", "no roster" if yesterday is None else f"{yesterday:.1%} of the planned mails were sent"
    yield "pace", f"{found.throughput_per_hour:,.0f} mails in the last hour; the limits allow {found.limit_per_hour:,}"
    yield "limits", f"today's mails are {found.limit_share:.1%} of what they carry in a day"
    yield (
        "send queue",
        f"{found.queue_depth:,} messages; the oldest due mail had waited {span(found.oldest_message_age_seconds)}",
    )
    if found.dead_letters is not None:
        yield "dead letters", f"{found.dead_letters:,}"
    yield "pairing", found.pairing


def capacity_lines(found: Capacity, old: WorkerMode | None) -> Iterator[Line]:
    """Of `mailtide warmup capacity`."""
    yield "pool", f"{found.mailboxes:,} mailboxes, {found.mails_a_day:,} mails a day"
    rate, a_minute = found.mails_a_day / 86_400, found.planned_per_minute
    yield "needed rate", f"{rate:.3g} mails a second over the day, {a_minute:,.1f} a minute while slots last"
    yield "do the limits allow it", "yes" if found.limits_allow else "no"
    yield "limits", f"{found.limit_per_day:,} mails a day; the pool is {found.limit_share:.0%} of that"
    yield (
        "senders",
        f"{found.senders:,} at that rate, {found.senders_at_limit:,} at the limit (WarmupSenders; replicas of `send`)",
    )
    yield "DynamoDB", f"{found.write_units_per_mail} write units a mail, {found.write_units_per_day:,} a day"
    yield "", f"{found.read_units_per_day:,} read units a day"
    yield "SQS", f"{found.queue_requests_per_day:,} requests a day"
    for name, dollars in found.dollars_a_day.items():
        yield f"$ a day, {SERVICES[name]}", f"{dollars:,.2f}"
    yield "$ a month", f"{found.dollars_a_month:,.2f} (list prices of US East)"
    yield "  the worker mode", f"{found.origin_dollars_a_month:,.2f} for its 100 instances"
    yield (
        "$ a day, containers",
        f"{found.containers_dollars_a_day:,.2f} on Fargate, in the place of Lambda's {found.dollars_a_day['functions']:,.2f}",
    )
    if old is not None:
        yield "the worker mode", f"{old.runs_a_day:,.0f} runs a day"
        yield "  a worker", f"{old.mails_a_worker:,} mails a day, {old.mailboxes_a_worker:,} mailboxes"
        yield "  all workers", f"{old.mails_a_day:,} mails a day, {old.mailboxes:,} mailboxes"


def visit_lines(found: VisitCapacity) -> Iterator[Line]:
    """Of `mailtide warmup capacity --read`."""
    yield "visits", f"{found.visits_a_day:,} a day"
    yield "readers", f"{found.readers:,} (WarmupReaders; replicas of `read`)"
    yield (
        "DynamoDB for them",
        f"{found.write_units_per_day:,} write units, {found.read_units_per_day:,} read units a day",
    )
    yield "$ a day, visits", f"{found.dollars_a_day:,.2f} beside all of the above"


def day_lines(found: Verdict) -> Iterator[Line]:
    """Of `mailtide warmup simulate`."""
    yield "quotas met", f"{found.quotas_met:,} of {found.mailboxes:,} mailboxes"
    yield "mails", f"{found.sent:,} of {found.planned:,} planned; {found.replies:,} of them replies"
    yield "sent twice", f"{found.duplicates:,}"
    yield "most in half a minute", f"{found.peak_half_minute:,} of at most {max(1, found.minute_limit // 2):,}"
    yield "most in a minute", f"{found.peak_minute:,} of at most {found.minute_limit:,}"
    yield "most in an hour", f"{found.peak_hour:,} of at most {found.hour_limit:,}"
    yield "  of one user", f"{found.peak_user_hour:,} of at most {found.user_hour_limit:,}"
    yield "closest two mails of a mailbox", f"{found.closest_gap_s:,.0f} s"
    yield "longest wait for a sender", f"{found.oldest_message_s:,.0f} s"
    yield "limit tokens", f"{found.tokens:,} taken, {found.forfeited:,} forfeited"
    yield "refused by servers", f"{found.transient_refusals:,} for now, {found.permanent_refusals:,} for good"
    yield "put back on the queue", f"{found.put_back:,}"
    yield "minutes planned above 95 % of the limit", f"{found.busy_minutes:,}"
    yield "pairing", found.pairing


def worker_day_lines(found: WorkerDay) -> Iterator[Line]:
    """Of `mailtide warmup simulate --workers`."""
    workers = "1 worker" if found.workers == 1 else f"{found.workers:,} workers"
    yield "worker mode", f"{workers}, {found.runs_a_worker:,} runs of {found.run_s:,.0f} s each a day"
    yield "quotas met", f"{found.quotas_met:,} of {found.mailboxes:,} mailboxes"
    yield "mails", f"{found.sent:,} of {found.planned:,} planned: enough for {found.mailboxes_carried:,} mailboxes"
    yield "most in a minute", f"{found.peak_minute:,}: all workers run at once"
