"""The main job on the deployed template: an upload, and from then on nothing but events."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from localstack.cloud import LocalCloud
from mailtide.contracts import Latest
from mailtide.runs import keys
from tests.e2e.scenario import Organisation, Wait, make_database, rows_of


@pytest.fixture
def organisation(cloud: LocalCloud, tmp_path: Path, request: pytest.FixtureRequest) -> Organisation:
    name = request.node.name.removeprefix("test_").replace("_", "-").replace("[", "-").replace("]", "")[:60]
    return Organisation(cloud, name, tmp_path)


def test_an_upload_becomes_a_published_schedule(organisation: Organisation, wait_for_done: Wait) -> None:
    organisation.upload(make_database(organisation.folder / "a.db"))
    done = wait_for_done(organisation.name)
    organisation.assert_published(done)
    assert done.tries == 1
    assert done.machine is not None
    assert done.cost is not None
    assert done.cost.total_usd > 0
    names = [step.name for step in done.steps]
    moments = [step.at for step in done.steps]
    assert names == [
        "uploaded",
        "opened",
        "planned",
        "launched",
        "machine started",
        "machine finished",
        "decided",
        "finished",
    ]
    assert moments[1:] == sorted(moments[1:])


def test_our_own_publication_starts_no_run(
    organisation: Organisation, wait_for_done: Wait, wake_watcher: Callable[[], None]
) -> None:
    organisation.upload(make_database(organisation.folder / "a.db"))
    wait_for_done(organisation.name)
    organisation.send("plan", {"kind": "plan", "org": organisation.name})
    wake_watcher()
    time.sleep(4)
    assert len(organisation.endings()) == 1
    organisation.assert_quiet()


def test_a_second_upload_replaces_the_first_schedule(organisation: Organisation, wait_for_done: Wait) -> None:
    organisation.upload(make_database(organisation.folder / "a.db"))
    wait_for_done(organisation.name)
    organisation.upload(make_database(organisation.folder / "b.db", contacts=60, first_day=5))
    done = wait_for_done(organisation.name, count=2)
    assert done.status == "published"
    assert organisation.endings()[0].status == "published"
    organisation.assert_quiet()


def test_an_upload_during_a_run_ends_in_its_own_schedule(
    organisation: Organisation, wait_for_done: Wait, wake_watcher: Callable[[], None]
) -> None:
    organisation.upload(make_database(organisation.folder / "a.db"))
    while not organisation.listed(f"{keys.RUNS}{organisation.name}/"):
        time.sleep(0.02)
    time.sleep(1.1)
    organisation.upload(make_database(organisation.folder / "b.db", contacts=60, first_day=5))
    done = wait_for_done(organisation.name, count=2, between=wake_watcher)
    first, last = organisation.endings()
    assert (first.status in {"published", "superseded"}, last.status) == (True, "published")
    body = organisation.read(keys.source(organisation.name))
    assert rows_of(body, organisation.folder) == organisation.expected_rows(done.as_of)
    organisation.assert_quiet()


def test_a_run_on_demand_that_changes_nothing_leaves_the_object(
    organisation: Organisation, wait_for_done: Wait
) -> None:
    organisation.upload(make_database(organisation.folder / "a.db"))
    first = wait_for_done(organisation.name)
    organisation.send("plan", {"kind": "plan", "org": organisation.name, "trigger": "demand", "request_id": "again"})
    done = wait_for_done(organisation.name, count=2)
    assert (done.status, done.changed) == ("published", False)
    assert done.published_etag == first.published_etag
    head = organisation.s3.head_object(Bucket=organisation.cloud.stack.bucket, Key=keys.source(organisation.name))
    assert head["ETag"].strip('"') == first.published_etag
    organisation.assert_quiet()


def test_the_timer_runs_whoever_is_due(
    organisation: Organisation, wait_for_done: Wait, wake_watcher: Callable[[], None]
) -> None:
    """The last run is set back by a day, as if a night had passed; then the tick comes."""
    organisation.put_rules("run_at_hour: 0\ntimezone: UTC\n")
    organisation.upload(make_database(organisation.folder / "a.db"))
    first = wait_for_done(organisation.name)
    latest = Latest.model_validate_json(organisation.read(keys.latest(organisation.name)))
    yesterday = latest.model_copy(update={"as_of": datetime.now(UTC).date().replace(day=1).replace(year=2020)})
    organisation.s3.put_object(
        Bucket=organisation.cloud.stack.bucket, Key=keys.latest(organisation.name), Body=yesterday.to_bytes()
    )
    organisation.send("plan", {"kind": "tick"})
    organisation.send("plan", {"kind": "tick"})
    done = wait_for_done(organisation.name, count=2, between=wake_watcher)
    time.sleep(2)
    assert len(organisation.endings()) == 2
    assert (done.status, done.as_of) == ("published", first.as_of)
    organisation.assert_quiet()


def test_planning_reads_a_small_part_and_says_how_much(organisation: Organisation, wait_for_done: Wait) -> None:
    organisation.upload(make_database(organisation.folder / "big.db", contacts=90_000))
    done = wait_for_done(organisation.name)
    organisation.assert_published(done)
    plan = json.loads(organisation.read(keys.plan(organisation.name, done.run)))
    assert abs(plan["inspection"]["contacts_estimate"] - 90_000) <= 4_500
    assert plan["inspection"]["bytes_read"] < len(organisation.uploaded) / 3
    logs = organisation.cloud.client("logs")
    name = next(f for f in organisation.cloud.stack.functions if "plan" in f)
    lines = [event["message"] for event in logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]]
    line = next(line for line in lines if done.run in line and '"planned"' in line)
    assert json.loads(line[line.index("{") :])["inspection_requests"] == plan["inspection"]["requests"]


def test_a_database_without_contacts_is_an_empty_schedule(organisation: Organisation, wait_for_done: Wait) -> None:
    organisation.upload(make_database(organisation.folder / "none.db", contacts=0))
    done = wait_for_done(organisation.name)
    assert done.status == "published"
    assert done.report is not None
    assert "no contacts" in json.dumps(done.report["warnings"])
    organisation.assert_quiet()


def test_a_run_that_changes_too_much_waits_for_a_person(organisation: Organisation, wait_for_done: Wait) -> None:
    organisation.upload(make_database(organisation.folder / "a.db", contacts=100))
    wait_for_done(organisation.name)
    organisation.upload(make_database(organisation.folder / "b.db", contacts=10))
    held = wait_for_done(organisation.name, count=2)
    assert held.status == "held"
    assert re.search(r"it plans \d+ mails where the last published run planned \d+0;", str(held.reason))
    assert organisation.read(keys.source(organisation.name)) == organisation.uploaded
    organisation.assert_quiet()
    command = [str(Path(sys.executable).with_name("mailtide")), "runs", "approve", organisation.name, held.run]
    subprocess.run(command, env=os.environ | organisation.cloud.environment, check=True, timeout=60)
    done = wait_for_done(organisation.name, count=3)
    assert (done.status, done.as_of) == ("published", held.as_of)
    assert rows_of(
        organisation.read(keys.source(organisation.name)), organisation.folder
    ) == organisation.expected_rows(done.as_of)
    organisation.assert_quiet()
