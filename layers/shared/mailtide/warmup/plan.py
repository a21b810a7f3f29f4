"""plan_warmup: the day's roster at its first tick, then at every tick one message a shard."""

from datetime import UTC, date, datetime, timedelta

from mailtide.errors import StaleWriteError, TransientError
from mailtide.runs.services import StepReport
from mailtide.warmup import keys
from mailtide.warmup.contracts import DomainTick, ShardTick, WarmupTick, day_of, day_start_ms
from mailtide.warmup.domains import PoolDomains
from mailtide.warmup.objects import RosterHeader
from mailtide.warmup.roster import make_roster
from mailtide.warmup.services import PlanningServices
from mailtide.warmup.slots import tick_of

EARLY_MS = 2_000
"""A schedule that fires this little before its tick means the tick that follows (clocks differ)."""


def plan_warmup(services: PlanningServices, message: WarmupTick) -> list[StepReport]:
    """Make sure that the day has a roster, and queue one message a shard for the tick. Safe to repeat.

    A roster of nobody is not written, so that the first mailboxes need not wait for the next day.
    """
    now_ms = services.clock.now_ms()
    day, start_ms, end_ms = _tick(services, message)
    if now_ms >= end_ms:
        return [StepReport("tick_over", details={"day": day.isoformat()})]
    reports = []
    header = services.rosters.header(day)
    domains = PoolDomains()
    if header is None:
        header = _make(services, day, now_ms, domains)
        made = StepReport("no_mailboxes", details={"day": day.isoformat()})
        reports.append(StepReport("roster_made", details=_facts(header)) if header else made)
        reports.append(_forget_old_days(services, day))
    yesterday = services.rosters.header(day - timedelta(days=1))
    shards = max((each.shards for each in (header, yesterday) if each), default=0)
    ticks = [ShardTick(day=day, start_ms=start_ms, end_ms=end_ms, shard=shard) for shard in range(shards)]
    services.queue.send_ticks(ticks)
    reports.append(StepReport("ticked", details={"day": day.isoformat(), "shards": shards}))
    # Mails are on their way by now: what has to do with DNS comes last, and nothing of it fails the tick.
    try:
        reports += _ask_for_domains(services, domains, DomainTick(day=day, start_ms=start_ms, end_ms=end_ms))
    except (TransientError, StaleWriteError) as error:
        reports.append(StepReport("domains_left", details={"warnings": [f"{type(error).__name__}: {error}"]}))
    return reports


def _ask_for_domains(services: PlanningServices, domains: PoolDomains, tick: DomainTick) -> list[StepReport]:
    """Draw up the day's list once its roster is made; then at every tick a message, as long as there is something left of it."""
    if not services.checks_domains:
        return []
    reports = []
    if domains.is_seen:
        now_ms = services.clock.now_ms()
        due = domains.plan(services.bucket, tick.day, now_ms=now_ms, every_days=services.settings.dns_check_days)
        reports.append(StepReport("domains_due", details={"day": tick.day.isoformat(), "domains": due}))
    if any(services.bucket.list(keys.due_domains(tick.day))):
        services.queue.send_domains(tick)
    return reports


def tick_start_ms(services: PlanningServices, message: WarmupTick) -> int:
    """Start of the tick that a message stands for."""
    return _tick(services, message)[1]


def _tick(services: PlanningServices, message: WarmupTick) -> tuple[date, int, int]:
    """Day, start and end of the tick: the scheduled one, or the present one."""
    moment_ms = services.clock.now_ms() + EARLY_MS if message.scheduled_ms is None else message.scheduled_ms
    day = day_of(moment_ms)
    return day, *tick_of(moment_ms, day_start_ms(day), services.settings.tick_ms)


def _make(services: PlanningServices, day: date, now_ms: int, domains: PoolDomains) -> RosterHeader | None:
    profiles = services.mailboxes.profiles()
    roster = make_roster(
        domains.watch(profiles) if services.checks_domains else profiles,
        day=day,
        settings=services.settings,
        made_at=datetime.fromtimestamp(now_ms / 1000, UTC),
    )
    return services.rosters.write(roster) if roster.header.mailboxes else None


def _facts(header: RosterHeader) -> dict[str, object]:
    return {
        "day": header.day.isoformat(),
        "mailboxes": header.mailboxes,
        "planned": header.planned,
        "case": header.case,
        "note": header.case_note,
        "largest_party": header.largest_party,
        "reduced_mailboxes": sum(reduction.mailboxes for reduction in header.reductions),
        "busy_minutes": len(header.busy_minutes),
        "warnings": list(header.warnings),
        **({"across_providers": header.across_providers.model_dump()} if header.across_providers else {}),
    }


def _forget_old_days(services: PlanningServices, today: date) -> StepReport:
    """Delete the objects of days that are older than the retention."""
    oldest = today - timedelta(days=services.settings.metrics_retention_days)
    deleted = 0
    for name in services.bucket.list_folders(keys.DAYS):
        day = keys.parse_day(name)
        if day is None or day >= oldest:
            continue
        for info in services.bucket.list(f"{keys.DAYS}{name}/"):
            services.bucket.delete(info.key)
            deleted += 1
    return StepReport("old_days_deleted", details={"objects": deleted})
