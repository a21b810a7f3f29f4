"""What each shard's dispatcher leaves in the bucket at each tick: a summary, and the quota of each mailbox."""

from collections import Counter
from collections.abc import Sequence
from datetime import date

from mailtide.runs.store import Versioned
from mailtide.warmup import keys
from mailtide.warmup.objects import QuotaCounts, QuotaRow, QuotaSheet, ShardSummary
from mailtide.warmup.ports import Objects
from mailtide.warmup.store import put

HISTORY_MS = 3_600_000


def read_summary(bucket: Objects, day: date, shard: int) -> Versioned[ShardSummary] | None:
    """The summary of a shard, None before its first tick of the day."""
    stored = bucket.get(keys.summary(day, shard))
    return None if stored is None else Versioned(ShardSummary.model_validate_json(stored.body), stored.etag)


def write_summary(
    bucket: Objects, summary: ShardSummary, rows: Sequence[QuotaRow], *, expected_etag: str | None
) -> bool:
    """Store both objects; False when another dispatcher of the shard was first: its summary is as good."""
    if not put(bucket, keys.summary(summary.day, summary.shard), summary, expected_etag=expected_etag):
        return False
    sheet = QuotaSheet.model_construct(
        day=summary.day, shard=summary.shard, written_ms=summary.written_ms, rows=tuple(rows)
    )
    key = keys.quotas(summary.day, summary.shard)
    stored = bucket.get(key)
    return put(bucket, key, sheet, expected_etag=stored.etag if stored else None)


def count_quota(rows: Sequence[QuotaRow]) -> QuotaCounts:
    """Mailboxes by status; those without a target today are left out."""
    counts = Counter(row.status for row in rows if row.target)
    return QuotaCounts(
        complete=counts["complete"],
        on_track=counts["on_track"],
        behind=counts["behind"],
        failing=counts["failing"],
    )


def sent_history(before: ShardSummary | None, now_ms: int, sent: int) -> tuple[tuple[int, int], ...]:
    """The history of a new summary: what the one before had of the last hour and a bit, then the present."""
    old = before.sent_history if before else ()
    recent = [entry for entry in old if entry[0] > now_ms - HISTORY_MS]
    oldest = [entry for entry in old if entry[0] <= now_ms - HISTORY_MS][-1:]
    return (*oldest, *recent, (now_ms, sent))
