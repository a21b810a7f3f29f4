"""What the dispatchers of an invented warm-up would have left by now: roster, summaries and quotas of today and yesterday."""

import random
import time
from datetime import UTC, datetime, timedelta

from mailtide.ports import Bucket
from mailtide.warmup import keys
from mailtide.warmup.contracts import day_of
from mailtide.warmup.objects import QuotaCounts, QuotaRow, QuotaSheet, QuotaStatus, RosterHeader, ShardSummary

SHARDS = 3
PLANNED = 871_000
"""Of a shard."""
TICK_MS = 600_000
STATUSES: tuple[QuotaStatus, ...] = ("on_track", "on_track", "behind", "failing")


def leave_warmup_day(bucket: Bucket, boxes: tuple[str, ...] = (), seed: int = 4) -> None:
    """Today so far, and yesterday as it ended. boxes: ids of mailboxes that fail, of the user `company-01`."""
    now_ms = int(time.time() * 1000)
    today = day_of(now_ms)
    share = now_ms % 86_400_000 / 86_400_000
    chance = random.Random(seed)
    for day, passed in ((today, share), (today - timedelta(1), 1.0)):
        bucket.create(keys.roster(day), _roster(datetime(day.year, day.month, day.day, 0, 0, 9, tzinfo=UTC)).to_bytes())
        for shard in range(SHARDS):
            sent = round(PLANNED * passed * 0.97)
            history = tuple((now_ms - (6 - place) * TICK_MS, max(0, sent - (6 - place) * 6_050)) for place in range(7))
            summary = ShardSummary(
                day=day,
                shard=shard,
                tick_ms=now_ms - 240_000,
                written_ms=now_ms - 200_000,
                mailboxes=32_800,
                active=32_512,
                planned=PLANNED,
                expected=PLANNED * passed,
                sent=sent,
                failed=round(sent / 90),
                unknown=31,
                missed=0,
                in_flight=60,
                offered=6_000,
                held_back=0,
                extra=20,
                oldest_due_ms=now_ms - 320_000,
                quota=QuotaCounts(complete=400, on_track=31_000, behind=1_060, failing=52),
                sent_history=history,
            )
            bucket.create(keys.summary(day, shard), summary.to_bytes())
            rows = [_row(f"box-{shard}-{place:03}", f"company-{place // 10:02}", chance) for place in range(30)]
            rows += [QuotaRow(box, "company-01", 30, 2, 7, 0, "failing") for box in boxes] if shard == 0 else []
            sheet = QuotaSheet(day=day, shard=shard, written_ms=now_ms - 200_000, rows=tuple(rows))
            bucket.create(keys.quotas(day, shard), sheet.to_bytes())


def _row(box: str, user: str, chance: random.Random) -> QuotaRow:
    return QuotaRow(box, user, 30, chance.randrange(20), chance.randrange(6), 0, chance.choice(STATUSES))


def _roster(made_at: datetime) -> RosterHeader:
    return RosterHeader(
        day=made_at.date(),
        made_at=made_at,
        mailboxes=98_400,
        largest_party=400,
        parties=420,
        case="shifts",
        case_note="Every mailbox writes to another one in each round of the day.",
        max_target=30,
        modulus=97_600,
        lowest_shift=401,
        step=7,
        base=3,
        windows=(((0, 86_400),),),
        shards=SHARDS,
        planned=PLANNED * SHARDS,
        planned_by_shard=(PLANNED,) * SHARDS,
        cooldown_max_ms=300_000,
        reply_rate=0.35,
        reply_delay_ms=(300_000, 14_400_000),
        tick_minutes=10,
    )
