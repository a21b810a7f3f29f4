"""dispatch_shard as it is deployed folds the placements of the day before: tables, bucket and settings by its environment."""

from datetime import UTC, datetime, timedelta

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.placements import DynamoPlacements
from mailtide.adapters.dynamodb.table import Table
from mailtide.warmup import keys
from mailtide.warmup.contracts import LedgerKey, ShardTick, day_start_ms
from mailtide.warmup.days import RosterStore
from mailtide.warmup.reading.sheet import PlacementSheet
from mailtide.warmup.roster import make_roster
from mailtide.warmup.settings import WarmupSettings
from mailtide.warmup.store import read
from tests.integration.planning.test_handlers import Deployed, mailbox
from tests.support import dynamodb
from tests.support.placements import placed


def test_a_late_tick_folds_the_day_before_its_own(ministack: str) -> None:
    deployed, client = Deployed(ministack), dynamodb.client_of(ministack)
    reads = dynamodb.create_reads_table(client)
    deployed.environment |= {
        "MAILTIDE_READS_TABLE": reads,
        "MAILTIDE_WARMUP_READ_QUEUE_URL": deployed.queues["send"],
        "WARMUP_SHARDS": "1",
        "WARMUP_SLOW_PACE": "0.25",
    }
    deployed.mailboxes.put_many([mailbox(number) for number in range(6)])
    # Two days ago is over for long, whatever the hour.
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    day, settings = yesterday - timedelta(days=1), WarmupSettings(shards=1)
    profiles = deployed.mailboxes.profiles()
    RosterStore(deployed.bucket).write(make_roster(profiles, day=day, settings=settings, made_at=datetime.now(UTC)))
    found = placed({"google": (60, 40, 20)}, bounce=1)
    placements = DynamoPlacements(Table(reads, client, ServerClock()), retention_days=30)
    placements.record(LedgerKey(day, 0, "box-3"), found.placements)
    placements.report(LedgerKey(day, 0, "box-3"), found.reports)
    start_ms = day_start_ms(yesterday)
    tick = ShardTick(day=yesterday, start_ms=start_ms, end_ms=start_ms + 600_000, shard=0)
    failed, log = deployed.invoke("dispatch_shard", tick.model_dump_json())
    assert (failed, "placements_folded" in log) == ([], True)
    sheet = read(deployed.bucket, keys.placements(day, 0), PlacementSheet)
    assert sheet is not None
    assert (sheet.mailboxes, sheet.slowed, [row.mailbox_id for row in sheet.held]) == (6, 1, ["box-3"])
    (profile,) = [one for one in deployed.mailboxes.profiles() if one.pace < 1]
    assert (profile.mailbox_id, profile.pace) == ("box-3", 0.25)
