"""What is measured (spec §6): from the summaries that the shards' dispatchers leave, without a look at any mailbox."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from datetime import date, timedelta

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from mailtide.contracts import Contract
from mailtide.warmup import keys
from mailtide.warmup.contracts import day_of, day_start_ms
from mailtide.warmup.health import HEALTH_VALUES, STALE_TICKS, Health, health
from mailtide.warmup.objects import QuotaCounts, RosterHeader, ShardSummary
from mailtide.warmup.ports import Objects, QueueDepth
from mailtide.warmup.settings import WarmupSettings
from mailtide.warmup.size import size_threshold
from mailtide.warmup.store import read

HOUR_MS = 3_600_000


class WarmupMetrics(Contract):
    """The state of the warm-up as /api/warmup/metrics gives it."""

    day: date
    at_ms: int
    total_mailboxes: int
    active_mailboxes: int
    planned_today: int
    expected_by_now: float
    emails_sent_today: int
    emails_failed_today: int
    failed_share: float
    """Failed mails of today, as a share of those that were sent; the alarm is at 0.1."""
    emails_unknown_today: int
    in_flight: int
    throughput_per_hour: float
    quota_completion_rate: float
    """Sent of the day's planned mails, 0 … 1."""
    quota_completion_rate_yesterday: float | None
    """None when there was no roster yesterday."""
    queue_depth: int
    oldest_message_age_seconds: float
    """How long the oldest due send had been waiting when its shard was last dispatched; the alarm is at one tick."""
    dead_letters: int | None = None
    """Messages in the dead-letter queues; None where nobody counts them."""
    limit_per_hour: int
    """Mails that the global limits let through in an hour."""
    tick_seconds: int
    """Length of the day's ticks."""
    limit_share: float
    """Planned mails of the day, of what the global limits carry in one; the alarm is at 0.8."""
    as_of_ms: int
    """When the oldest of the shards' figures were taken (Unix time)."""
    figures_age_seconds: float
    """How long ago the oldest of the shards' figures were taken; a shard that has left none yet counts from the roster on. The
    alarm is at two ticks."""
    shards_stale: int
    """Shards whose figures are older than two ticks: nothing is known of their present."""
    size_threshold_crossed: int
    """The threshold of mailboxes (mailtide.warmup.size) that the pool has passed since yesterday; 0 on other days."""
    system_health: Health
    quota: QuotaCounts
    shards_reporting: int
    shards: int
    pairing: str
    warnings: tuple[str, ...]
    """The roster's, and what is to be said of old figures: one sentence each."""


GAUGES: dict[str, str] = {
    "total_mailboxes": "Mailboxes in today's roster",
    "active_mailboxes": "Mailboxes of the roster that are active now",
    "emails_sent_today": "Mails sent today (UTC)",
    "emails_failed_today": "Mails that failed for good today",
    "failed_share": "Mails that failed for good today, of those that were sent",
    "throughput_per_hour": "Mails sent an hour, over the last hour",
    "quota_completion_rate": "Sent of today's planned mails",
    "quota_completion_rate_yesterday": "Sent of yesterday's planned mails",
    "queue_depth": "Messages on the send queue that are visible",
    "oldest_message_age_seconds": "Age of the oldest due send that nobody had taken at its shard's last tick",
    "dead_letters": "Messages in the warm-up's dead-letter queues",
    "limit_per_hour": "Mails that the global limits let through in an hour",
    "tick_seconds": "Length of a tick",
    "limit_share": "Planned mails of today, of what the global limits carry in a day",
    "figures_age_seconds": "Age of the oldest figures: since the shard's last tick that was dispatched",
    "size_threshold_crossed": "Threshold (500, 1,000, 5,000 or 10,000 mailboxes) passed since yesterday; 0 if none",
    "system_health": "0 critical, 1 degraded, 2 healthy",
}
"""Field -> help; the gauge is called warmup_<field>."""


def measure(
    bucket: Objects,
    *,
    now_ms: int,
    depth: QueueDepth,
    settings: WarmupSettings,
    executor: Executor | None = None,
    dead_letters: int | None = None,
) -> WarmupMetrics | None:
    """The metrics of now; None while today has no roster. executor: reads the summaries side by side."""
    day = day_of(now_ms)
    header = read(bucket, keys.roster(day), RosterHeader)
    if header is None:
        return None
    summaries = read_summaries(bucket, day, header.shards, executor)
    sent, failed = sum(each.sent for each in summaries), sum(each.failed for each in summaries)
    expected = sum(each.expected for each in summaries)
    yesterday = read(bucket, keys.roster(day - timedelta(days=1)), RosterHeader)
    ages_ms = _ages_ms(header, summaries, now_ms)
    tick_ms = header.tick_minutes * 60_000
    stale = sum(age_ms > STALE_TICKS * tick_ms for age_ms in ages_ms.values())
    oldest_ms = max(ages_ms.values(), default=0)
    waited = (each.written_ms - each.oldest_due_ms for each in summaries if each.oldest_due_ms is not None)
    return WarmupMetrics(
        day=day,
        at_ms=now_ms,
        total_mailboxes=header.mailboxes,
        active_mailboxes=sum(each.active for each in summaries),
        planned_today=header.planned,
        expected_by_now=round(expected, 1),
        emails_sent_today=sent,
        emails_failed_today=failed,
        failed_share=round(failed / sent, 6) if sent else float(failed > 0),
        emails_unknown_today=sum(each.unknown for each in summaries),
        in_flight=sum(each.in_flight for each in summaries),
        throughput_per_hour=round(
            sum(_an_hour(each) for each in summaries if ages_ms[each.shard] <= STALE_TICKS * tick_ms), 1
        ),
        quota_completion_rate=_rate(sent, header.planned),
        quota_completion_rate_yesterday=_completion(bucket, yesterday, executor),
        queue_depth=depth.visible,
        oldest_message_age_seconds=max((0, *waited)) / 1000,
        dead_letters=dead_letters,
        limit_per_hour=min(settings.global_minute_limit * 60, settings.global_hourly_limit),
        tick_seconds=header.tick_minutes * 60,
        limit_share=_rate(header.planned, carried_a_day(settings)),
        as_of_ms=now_ms - oldest_ms,
        figures_age_seconds=oldest_ms / 1000,
        shards_stale=stale,
        size_threshold_crossed=_crossed(yesterday, header),
        system_health=health(sent=sent, failed=failed, expected=expected, age_ticks=oldest_ms / tick_ms),
        quota=_add(summaries),
        shards_reporting=len(summaries),
        shards=header.shards,
        pairing=header.case_note,
        warnings=(*header.warnings, *_said_of_age(stale, header, oldest_ms)),
    )


def _ages_ms(header: RosterHeader, summaries: Sequence[ShardSummary], now_ms: int) -> dict[int, int]:
    """How old each shard's figures are, by shard."""
    begun_ms = max(day_start_ms(header.day), int(header.made_at.timestamp() * 1000))
    taken_ms = dict.fromkeys(range(header.shards), begun_ms) | {each.shard: each.written_ms for each in summaries}
    return {shard: max(0, now_ms - moment_ms) for shard, moment_ms in taken_ms.items()}


def _said_of_age(stale: int, header: RosterHeader, oldest_ms: int) -> Iterable[str]:
    if stale:
        yield (
            f"The figures of {stale} of {header.shards} shards are old, up to {oldest_ms // 60_000} minutes: their ticks are not "
            "dispatched, and what has happened since is not in them."
        )


def _crossed(yesterday: RosterHeader | None, today: RosterHeader) -> int:
    before, now = size_threshold(yesterday.mailboxes if yesterday else 0), size_threshold(today.mailboxes)
    return now if now > before else 0


def carried_a_day(settings: WarmupSettings) -> int:
    """Mails that the global limits let through in a day."""
    return min(settings.global_minute_limit * 1_440, settings.global_hourly_limit * 24)


def gauges(metrics: WarmupMetrics) -> dict[str, float]:
    """Gauge -> value, without those that have none."""
    values: dict[str, float | None] = {name: getattr(metrics, name) for name in GAUGES if name != "system_health"}
    values["system_health"] = HEALTH_VALUES[metrics.system_health]
    return {f"warmup_{name}": float(value) for name, value in values.items() if value is not None}


def prometheus_text(metrics: WarmupMetrics) -> bytes:
    """The gauges in Prometheus' text format. The only label is a quota status: never an address or an id."""
    registry = CollectorRegistry()
    values = gauges(metrics)
    for name, help_text in GAUGES.items():
        if f"warmup_{name}" in values:
            Gauge(f"warmup_{name}", help_text, registry=registry).set(values[f"warmup_{name}"])
    by_status = Gauge("warmup_mailboxes", "Mailboxes by quota status", ["status"], registry=registry)
    for status, count in metrics.quota.model_dump().items():
        by_status.labels(status=status).set(count)
    return generate_latest(registry)


def read_summaries(bucket: Objects, day: date, shards: int, executor: Executor | None = None) -> list[ShardSummary]:
    """The summaries of a day that exist, by shard."""
    names = (keys.summary(day, shard) for shard in range(shards))
    found: Iterable[ShardSummary | None]
    if executor is None:
        found = (read(bucket, name, ShardSummary) for name in names)
    else:
        found = executor.map(lambda name: read(bucket, name, ShardSummary), names)
    return [summary for summary in found if summary is not None]


def _completion(bucket: Objects, header: RosterHeader | None, executor: Executor | None) -> float | None:
    if header is None:
        return None
    summaries = read_summaries(bucket, header.day, header.shards, executor)
    return _rate(sum(each.sent for each in summaries), header.planned)


def _rate(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 1.0


def _an_hour(summary: ShardSummary) -> float:
    """Mails an hour between the oldest and the newest entry of the history, which spans the last hour."""
    history = summary.sent_history
    if len(history) < 2:
        return 0.0
    (first_ms, first), (last_ms, last) = history[0], history[-1]
    return (last - first) * HOUR_MS / (last_ms - first_ms) if last_ms > first_ms else 0.0


def _add(summaries: Sequence[ShardSummary]) -> QuotaCounts:
    return QuotaCounts(
        complete=sum(each.quota.complete for each in summaries),
        on_track=sum(each.quota.on_track for each in summaries),
        behind=sum(each.quota.behind for each in summaries),
        failing=sum(each.quota.failing for each in summaries),
    )
