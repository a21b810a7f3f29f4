"""Where mails landed, as the API tells it: a night that was really folded, in the bucket and on the mailboxes."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mailtide.adapters.dynamodb.ledger import DynamoLedger
from mailtide.adapters.dynamodb.table import Table
from mailtide.warmup.contracts import DAY_MS, LedgerKey, ShardTick, day_of, day_start_ms
from mailtide.warmup.days import RosterStore
from mailtide.warmup.memory import MemoryMailQueue, VirtualClock
from mailtide.warmup.placement_metrics import PLACEMENT_GAUGES
from mailtide.warmup.reading.fold import FOLD_AFTER_MS, WAVE_MS, WAVES, fold_days
from mailtide.warmup.reading.memory import MemoryPlacements, MemoryReadQueue
from mailtide.warmup.roster import make_roster, shard_of
from mailtide.warmup.services import PlanningServices, ReadingPorts
from mailtide.warmup.settings import WarmupSettings
from tests.integration.api.conftest import MAILBOXES, OPERATOR, Api
from tests.support.placements import placed

SHARDS = 3
FOUND = {
    "box-3": placed({"google": (60, 0, 0)}),
    "box-4": placed({"google": (40, 10, 0), "microsoft": (21, 40, 9)}),
    "box-5": placed({"": (3, 0, 1)}),
    "box-20": placed({"google": (10, 15, 5)}, complaint=1),
}


@pytest.fixture(scope="module")
def night(planned: Api) -> date:
    """Yesterday, folded; the pool's own tables and bucket, with what visits have found handed in."""
    deployed = planned.deployed
    placements, clock = MemoryPlacements(), VirtualClock(0)
    today = day_of(planned.get("/api/warmup/metrics")["at_ms"])
    day = today - timedelta(days=1)
    settings = WarmupSettings(shards=SHARDS)
    services = PlanningServices(
        bucket=deployed.bucket,
        rosters=RosterStore(deployed.bucket),
        mailboxes=deployed.mailboxes,
        ledger=DynamoLedger(_ledger_table(planned), retention_days=1),
        queue=MemoryMailQueue(clock),
        clock=clock,
        settings=settings,
        reading=ReadingPorts(placements=placements, queue=MemoryReadQueue()),
        health=deployed.mailboxes,
    )
    made_at = datetime.combine(day, datetime.min.time(), UTC)
    services.rosters.write(make_roster(deployed.mailboxes.profiles(), day=day, settings=settings, made_at=made_at))
    for mailbox_id, found in FOUND.items():
        key = LedgerKey(day, shard_of(mailbox_id, SHARDS), mailbox_id)
        placements.record(key, found.placements)
        placements.report(key, found.reports)
    now_ms = day_start_ms(day) + DAY_MS + FOLD_AFTER_MS + WAVES * WAVE_MS
    for shard in range(SHARDS):
        fold_days(services, ShardTick(day=today, start_ms=now_ms, end_ms=now_ms + 1, shard=shard), now_ms)
    return day


def _ledger_table(api: Api) -> Table:
    table = api.deployed.mailboxes._table
    return Table(api.deployed.environment["MAILTIDE_LEDGER_TABLE"], table._client, table.clock)


def test_the_pool_for_operators(planned: Api, night: date) -> None:
    found = planned.get("/api/warmup/placement")
    assert (found["day"], found["user_id"], found["mailboxes"]) == (night.isoformat(), None, MAILBOXES)
    by_provider = {
        one["provider"]: (one["name"], one["inbox"], one["junk"], one["missing"]) for one in found["providers"]
    }
    assert by_provider == {
        "google": ("Google (Workspace)", 110, 25, 5),
        "microsoft": ("Microsoft (Exchange Online)", 21, 40, 9),
        "": ("Others", 3, 0, 1),
    }
    assert [one["provider"] for one in found["providers"]] == ["google", "microsoft", ""]
    assert (found["total"]["inbox"], found["total"]["share"]) == (134, round(134 / 214, 4))
    assert found["total"]["low"] < found["total"]["share"] < found["total"]["high"]
    assert (found["slowed"], found["quarantined"], found["graduated"], found["complaints"]) == (2, 0, 1, 1)
    assert found["history"] == [{"day": night.isoformat(), "inbox": 134, "seen": 214, "share": 0.6262}]
    assert {row["mailbox_id"] for row in found["held"]} == {"box-4", "box-20"}
    assert len(planned.get("/api/warmup/placement", limit=1)["held"]) == 1
    assert planned.get("/api/warmup/placement", limit=1)["held_total"] == 2
    assert (found["unread"], found["unread_total"]) == ([], 0)
    assert any("machine" in said for said in found["warnings"])
    assert any("Google Workspace user data" in said for said in found["warnings"])


def test_users_see_their_own(planned: Api, night: date) -> None:
    found = planned.get("/api/warmup/placement", "one")
    assert (found["user_id"], found["mailboxes"], found["day"]) == ("user-1", 3, night.isoformat())
    assert found["total"]["inbox"] == 60 + 61 + 3
    (row,) = found["held"]
    first = (night + timedelta(days=2)).isoformat()
    assert (row["mailbox_id"], row["status"], row["since"]) == ("box-4", "active", first)
    assert row["why"] == f"slowed from {first} on: 51 % of 120 mails in the inbox"
    assert found == planned.get("/api/warmup/placement", user="user-1")
    planned.get("/api/warmup/placement", "one", 403, user="user-2")
    for token in ("hook", "acme"):
        planned.get("/api/warmup/placement", token, 403)
    others = planned.get("/api/warmup/placement", "two")
    assert (others["day"], others["total"]["share"], others["history"], others["held"]) == (None, None, [], [])


def test_one_mailbox_and_its_history(planned: Api, night: date) -> None:
    found = planned.get("/api/warmup/placement", "one", mailbox="box-4")
    assert (found["state"], found["pace"], found["day"]) == ("slowed", 0.5, night.isoformat())
    assert found["history"] == [{"day": night.isoformat(), "inbox": 61, "seen": 120, "share": 0.5083}]
    assert [one["provider"] for one in found["providers"]] == ["microsoft", "google"]
    assert planned.get("/api/warmup/mailbox", "one", id="box-4")["placement"] == found
    graduate = planned.get("/api/warmup/placement", mailbox="box-3")
    assert (graduate["graduated_on"], graduate["why"]) == (night.isoformat(), "")
    unseen = planned.get("/api/warmup/mailbox", id="box-60")["placement"]
    assert (unseen["day"], unseen["total"]["share"], unseen["state"]) == (None, None, "full")
    anothers = planned.get("/api/warmup/placement", "one", 404, mailbox="box-20")
    nobodys = planned.get("/api/warmup/placement", "one", 404, mailbox="box-999")
    assert anothers["error"].replace("box-20", "box-999") == nobodys["error"]
    planned.get("/api/warmup/placement", OPERATOR, 404, mailbox="box-4", user="user-2")
    for token in ("hook", "acme"):
        planned.get("/api/warmup/placement", token, 404, mailbox="box-4")


@pytest.mark.usefixtures("night")
def test_prometheus_by_provider_and_verdict(planned: Api) -> None:
    text = planned.ask("GET", "/api/warmup/metrics?format=prometheus").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {f"warmup_{name}" for name in PLACEMENT_GAUGES} <= families.keys()
    mails = {(s.labels["provider"], s.labels["verdict"]): s.value for s in families["warmup_placement_mails"].samples}
    assert mails["microsoft", "junk"] == 40
    assert mails["other", "missing"] == 1
    assert {s.labels["state"]: s.value for s in families["warmup_placement_mailboxes"].samples} == {
        "slowed": 2,
        "quarantined": 0,
        "graduated": 1,
    }
    assert "box-" not in text
    assert "@" not in text


@pytest.mark.usefixtures("night")
def test_the_command_line_shows_the_same(planned: Api) -> None:
    assert json.loads(planned.run("warmup", "placement", "--json")) == planned.get("/api/warmup/placement")
    shown = planned.run("warmup", "placement")
    assert "Microsoft (Exchange Online)" in shown
    assert "box-4" in shown
    assert "62.6 %" in shown
    status = planned.run("warmup", "status")
    assert "62.6 % of 214 mails in the inbox" in status
    assert "2 slowed, 0 quarantined" in status
    listed = planned.run("mailboxes", "list", "--user", "user-1")
    assert "slowed from" in listed
    boxes = [json.loads(line) for line in planned.run("mailboxes", "list", "--user", "user-1", "--json").splitlines()]
    assert {box["mailbox_id"]: box["pace"] for box in boxes} == {"box-3": 1.0, "box-4": 0.5, "box-5": 1.0}
