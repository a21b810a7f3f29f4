"""How long dispatch_shard takes for a shard of 1,000 mailboxes at noon, with real tables, queue and bucket on MiniStack."""

import time
from pathlib import Path
from statistics import median
from typing import Any

import boto3

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.ledger import DynamoLedger, encode_item, encode_key
from mailtide.adapters.dynamodb.mailboxes import DynamoMailboxes
from mailtide.adapters.dynamodb.table import Table, make_dynamodb_client
from mailtide.adapters.mail_queue import SqsMailQueue
from mailtide.adapters.s3 import S3Bucket, make_client
from mailtide.warmup.contracts import LedgerKey, RoundState, SendWindow, ShardTick, WarmupTick
from mailtide.warmup.days import RosterStore, ShardDay
from mailtide.warmup.dispatch import dispatch_shard
from mailtide.warmup.ledger import LedgerItem, RoundEntry
from mailtide.warmup.memory import VirtualClock
from mailtide.warmup.outcomes import OutcomeWindow
from mailtide.warmup.plan import plan_warmup
from mailtide.warmup.services import PlanningServices
from mailtide.warmup.settings import WarmupResources, WarmupSettings
from tests.bench.warmup_counting import Counts
from tests.bench.warmup_site import CREDENTIALS, Site, site
from tests.support import dynamodb
from tests.support.warmup_pools import DAY, START

MAILBOXES = 1_000
MAILS = 30
NOON_MS = START + 12 * 3_600_000
TOKEN = "0123456789ab"
COOLDOWN_MS = 200_000


def measure(folder: Path, ticks: int = 7) -> dict[str, Any]:
    """Seconds of each of so many ticks of 10 minutes from noon on; the first also reads the roster."""
    counts = Counts()
    with site(folder, {}) as made:
        made.add_mailboxes(MAILBOXES, 25, SendWindow(), MAILS)
        services, clock = _services(made, counts)
        clock.at_ms = NOON_MS
        plan_warmup(services, WarmupTick(scheduled_ms=NOON_MS))
        shard = services.rosters.shard(DAY, 0)
        assert shard is not None
        seconds, offered = [], []
        tick_ms = services.settings.tick_ms
        for number in range(ticks):
            start_ms = NOON_MS + number * tick_ms
            _live_until(start_ms - START, made, shard)
            clock.at_ms = start_ms + 1_000
            begun = time.perf_counter()
            report = dispatch_shard(services, ShardTick(day=DAY, start_ms=start_ms, end_ms=start_ms + tick_ms, shard=0))
            seconds.append(time.perf_counter() - begun)
            assert report.action == "dispatched", report
            offered.append(report.details["offered"])
    return {
        "mailboxes": MAILBOXES,
        "seconds": [round(one, 3) for one in seconds],
        "median_s": round(median(seconds), 3),
        "offered": offered,
        "requests": dict(counts.requests),
        "scans": counts.requests["dynamodb Scan"],
    }


def _services(made: Site, counts: Counts) -> tuple[PlanningServices, VirtualClock]:
    """As mailtide.planning wires them, but for a clock that stands at noon."""
    boto3.setup_default_session(**CREDENTIALS)
    counts.listen(boto3._get_default_session())
    clock, server_clock, client = VirtualClock(NOON_MS), ServerClock(), make_dynamodb_client(made.url)
    bucket = S3Bucket(made.environment["MAILTIDE_BUCKET"], make_client(made.url))
    resources = WarmupResources(
        bucket=made.environment["MAILTIDE_BUCKET"],
        warmup_dispatch_queue_url=made.queues["dispatch"],
        warmup_send_queue_url=made.queues["send"],
    )
    return PlanningServices(
        bucket=bucket,
        rosters=RosterStore(bucket),
        mailboxes=DynamoMailboxes(Table(made.tables["mailboxes"], client, server_clock)),
        ledger=DynamoLedger(Table(made.tables["ledger"], client, server_clock), retention_days=30),
        queue=SqsMailQueue(boto3.client("sqs", endpoint_url=made.url), resources),
        clock=clock,
        settings=WarmupSettings(shards=1, tick_minutes=10),
    ), clock


def _live_until(moment_ms: int, made: Site, shard: ShardDay) -> None:
    """Every slot before a moment of the day was sent; but each 40th mailbox has one that nobody took."""
    table = Table(made.tables["ledger"], dynamodb.client_of(made.url), ServerClock())
    items = []
    for member in shard.members:
        done = list(member.in_order[: member.due_before(moment_ms)])
        if member.index % 40 == 0:
            done = done[:-1]
        item = LedgerItem(
            key=LedgerKey(DAY, 0, member.mailbox_id),
            target=member.target,
            used=len(done),
            sent=len(done),
            next_ok_ms=START + max((member.due[number] for number in done), default=0) + COOLDOWN_MS,
            rounds={number: RoundEntry(RoundState.SENT, TOKEN) for number in done},
            window=OutcomeWindow(recent=100),
        )
        items.append(encode_key(item.key) | encode_item(item))
    table.put_many(items)
