"""The first tick after midnight closes yesterday: what nobody has taken is missed."""

from datetime import timedelta

from mailtide.runs.store import Versioned
from mailtide.warmup.contracts import DAY_MS, LedgerView, RoundState, ShardTick, day_start_ms
from mailtide.warmup.days import Member, ShardDay
from mailtide.warmup.objects import QuotaRow, ShardSummary
from mailtide.warmup.offers import Rules
from mailtide.warmup.quota import quota_status
from mailtide.warmup.services import PlanningServices
from mailtide.warmup.summaries import count_quota, read_summary, write_summary


def close_yesterday(services: PlanningServices, message: ShardTick, now_ms: int) -> dict[str, LedgerView]:
    """Close what is left of the day before, until nothing is in flight any more; its views while its cooldowns may still run.

    Fine to repeat; after that it costs one read of a small object a tick.
    """
    day = message.day - timedelta(days=1)
    before = read_summary(services.bucket, day, message.shard)
    is_closed = before is not None and before.value.closed
    is_cooling = now_ms < day_start_ms(message.day) + services.settings.mailbox_cooldown_max_ms
    if is_closed and not is_cooling:
        return {}
    shard = services.rosters.shard(day, message.shard)
    if shard is None:
        return {}
    views = services.ledger.read_shard(day, message.shard)
    if not is_closed:
        for member in shard.members:
            view = views.get(member.mailbox_id)
            if view is not None and needs_closing(view, member.target):
                views[member.mailbox_id] = services.ledger.close(
                    view, target=member.target, rounds=member.target, now_ms=now_ms
                )
        _write_last(services, shard, views, before, now_ms)
    return views


def needs_closing(view: LedgerView, target: int) -> bool:
    """Whether the item holds anything that the day's end changes: untaken rounds below the target, or sends in flight."""
    untaken = view.states[:target].count(RoundState.UNTAKEN.value) + max(0, target - len(view.states))
    return view.in_flight > 0 or (untaken > 0 and not view.closed)


def cooling_until(yesterday: LedgerView | None, rules: Rules) -> int:
    """Before when a mailbox must not write because of its last mail of yesterday; 0 when it may.

    A back-off that reaches into today is the sender's to park; only the cooldown is carried over here.
    """
    if yesterday is None:
        return 0
    end_ms = day_start_ms(yesterday.key.day) + DAY_MS
    latest_ms = end_ms + rules.cooldown_max_ms
    return latest_ms if yesterday.in_flight else min(yesterday.next_ok_ms, latest_ms)


def _write_last(
    services: PlanningServices,
    shard: ShardDay,
    views: dict[str, LedgerView],
    before: Versioned[ShardSummary] | None,
    now_ms: int,
) -> None:
    """The day's last summary; it says `closed` once nothing is in flight."""
    rows = [_row(member, views.get(member.mailbox_id)) for member in shard.members]
    in_flight = sum(view.in_flight for view in views.values())
    old = before.value if before else None
    summary = ShardSummary(
        day=shard.day.header.day,
        shard=shard.number,
        tick_ms=old.tick_ms if old else shard.day.end_ms,
        written_ms=now_ms,
        mailboxes=len(shard.members),
        active=old.active if old else len(shard.members),
        planned=sum(member.target for member in shard.members),
        expected=float(sum(member.target for member in shard.members)),
        sent=sum(row.sent for row in rows),
        failed=sum(row.failed for row in rows),
        unknown=sum(row.unknown for row in rows),
        missed=sum(_missed(member, views.get(member.mailbox_id)) for member in shard.members),
        in_flight=in_flight,
        offered=0,
        held_back=0,
        extra=0,
        oldest_due_ms=None,
        quota=count_quota(rows),
        sent_history=old.sent_history if old else (),
        closed=in_flight == 0,
    )
    write_summary(services.bucket, summary, rows, expected_etag=before.etag if before else None)


def _row(member: Member, view: LedgerView | None) -> QuotaRow:
    sent, failed, unknown = (view.sent, view.failed, view.unknown) if view else (0, 0, 0)
    status = quota_status(sent=sent, target=member.target, expected=float(member.target), moment_ms=DAY_MS)
    return QuotaRow(member.mailbox_id, member.user_id, member.target, sent, failed, unknown, status)


def _missed(member: Member, view: LedgerView | None) -> int:
    return view.states.count(RoundState.MISSED.value) if view else member.target
