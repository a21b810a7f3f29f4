"""What the dispatchers of an invented warm-up would have left by now: roster, summaries and quotas of today and yesterday."""

import random
import time
from datetime import UTC, date, datetime, timedelta

from mailtide.ports import Bucket
from mailtide.warmup import keys
from mailtide.warmup.contracts import day_of
from mailtide.warmup.domains import BrokenCheck, DomainIndex, DomainRow
from mailtide.warmup.objects import QuotaCounts, QuotaRow, QuotaSheet, QuotaStatus, RosterHeader, ShardSummary
from mailtide.warmup.reading.record import Landed, ScorePoint
from mailtide.warmup.reading.sheet import HeldBack, PlacementSheet, Unread

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
            if day != today:
                bucket.create(keys.placements(day, shard), _placements(day, shard, chance).to_bytes())
    bucket.create(keys.DOMAIN_INDEX, _domains(now_ms).to_bytes())


def _domains(now_ms: int) -> DomainIndex:
    """Some, of which a few are broken, in one way or in two, and one has not been checked."""
    no_spf = BrokenCheck(
        "SPF",
        "There is no SPF record: receivers cannot tell who may send for the domain.",
        "publish a TXT record like v=spf1 include:… ~all, with what your mail provider names for it",
    )
    no_mx = BrokenCheck(
        "MX", "No mail server has an address: mx.company-11.example.", "mend or remove these MX records"
    )
    sound = [
        DomainRow(f"d{number}.company-01.example", ("company-01",), 30, "google", now_ms - 3_600_000 * number, True)
        for number in range(40)
    ]
    broken = [
        DomainRow("company-01.example", ("company-01",), 90, "google", now_ms - 7_200_000, True, (no_spf,), ("DKIM",)),
        DomainRow("company-11.example", ("company-11",), 12, "", now_ms - 90_000_000, True, (no_mx, no_spf)),
        DomainRow("company-12.example", ("company-12",), 3),
    ]
    return DomainIndex(rows=(*sound, *broken))


def _placements(day: date, shard: int, chance: random.Random) -> PlacementSheet:
    """The night after: worse at one provider than at the others, and slowly better."""
    shares = {"google": (0.91, 0.07), "microsoft": (0.74, 0.21), "yahoo": (0.83, 0.12), "": (0.95, 0.02)}
    mails = {"google": 61_000, "microsoft": 48_000, "yahoo": 9_000, "": 21_000}
    week = {
        name: Landed(round(mails[name] * inbox), round(mails[name] * junk), round(mails[name] * (1 - inbox - junk)))
        for name, (inbox, junk) in shares.items()
    }
    since = day - timedelta(2)
    held = [
        HeldBack(
            f"box-{shard}-{place:03}", f"company-{place // 10:02}", "active", since, f"slowed from {since} on: {why}"
        )
        for place, why in ((4, "61 % of 140 mails in the inbox"), (17, "12 % of 41 mails in the inbox at microsoft"))
    ]
    why = "23 % of 118 mails in the inbox (seven days to 2026-11-20)"
    held.append(HeldBack(f"box-{shard}-021", "company-02", "quarantined", since, why))
    history = tuple(
        ScorePoint(day - timedelta(29 - place), round(139_000 * (0.72 + 0.004 * place + chance.random() / 40)), 139_000)
        for place in range(30)
    )
    return PlacementSheet(
        day=day,
        shard=shard,
        written_ms=0,
        mailboxes=32_800,
        measured=30_100,
        landed=week,
        week=week,
        bounces=212,
        complaints=9,
        slowed=14,
        quarantined=1,
        resumed=11,
        graduated=120,
        withheld=0,
        slowed_now=312,
        quarantined_now=27,
        graduated_now=8_140,
        held=tuple(held),
        unread=(
            Unread(f"box-{shard}-008", "company-00", "the last 7 visits failed: the IMAP server refuses the login"),
        ),
        history=history,
    )


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
