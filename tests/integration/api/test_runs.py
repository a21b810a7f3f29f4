"""Runs and organisations over HTTP: what they show, to whom, and the orders."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest

from mailtide.contracts import Done, Plan
from mailtide.runs import keys
from tests.integration.api.conftest import Api
from tests.support.plain_http import NO_AUTHORITIES
from tests.support.run_objects import FAILURE, HELD, RunObjects, run_name

NOW = datetime.now(UTC)
NOWHERE = "0" * 20


@dataclass(frozen=True)
class World:
    """Two organisations and their runs."""

    api: Api
    published: Done
    older: Done
    failed: Done
    held: Done
    working: Plan

    def sent(self) -> list[dict[str, Any]]:
        """Messages for plan_run, taken off the queue."""
        queue, sqs = self.api.run_queues["plan"], self.api.deployed.sqs
        found = []
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
        return found


@pytest.fixture(scope="module")
def world(api: Api) -> World:
    objects = RunObjects(api.deployed.bucket, NOW)
    acme = objects.organisation("acme", rules="timezone: America/Chicago\nrun_at_hour: 5\n")
    harbor = objects.organisation("harbor", rules="cadence: yearly\n", body=b"y" * 512)
    older = objects.published("acme", 1, acme, NOW - timedelta(days=1))
    published = objects.published("acme", 2, acme, NOW - timedelta(minutes=9))
    failed = objects.failed("acme", 3, acme, NOW - timedelta(hours=30))
    held = objects.published("harbor", 1, harbor, NOW - timedelta(hours=2), 40_000, held=True)
    objects.latest("acme", published, acme)
    objects.latest("harbor", held, harbor)
    working = objects.working("harbor", 2, harbor, 40_000)
    return World(api, published, older, failed, held, working)


def test_an_operator_sees_open_runs_and_the_last_one_of_each(world: World) -> None:
    found = world.api.get("/v1/runs")
    assert [(run["org"], run["state"]) for run in found["runs"]] == [
        ("harbor", "working"),
        ("acme", "published"),
        ("harbor", "held"),
    ]
    assert (found["next_cursor"], found["more"]) == (None, False)
    working = found["runs"][0]
    assert (working["run"], working["contacts"], working["finished_at"]) == (world.working.run, 40_213, None)


def test_organisations_come_by_the_page(world: World) -> None:
    first = world.api.get("/v1/runs", limit=1)
    assert first["next_cursor"] == "acme"
    second = world.api.get("/v1/runs", limit=1, cursor="acme")
    assert [run["org"] for run in second["runs"]] == ["harbor"]
    assert second["next_cursor"] is None
    assert world.api.get("/v1/orgs", limit=1)["next_cursor"] == "acme"
    assert [org["org"] for org in world.api.get("/v1/orgs", cursor="acme")["orgs"]] == ["harbor"]


def test_every_run_of_one_organisation_the_newest_first(world: World) -> None:
    runs = world.api.get("/v1/runs", org="acme")["runs"]
    assert [run["run"] for run in runs] == [world.published.run, world.older.run, world.failed.run]
    assert runs[2]["reason"] == FAILURE
    short = world.api.get("/v1/runs", org="acme", limit=1)
    assert (len(short["runs"]), short["more"]) == (1, True)


def test_one_run_in_full(world: World) -> None:
    run = world.api.get(f"/v1/runs/acme/{world.published.run}")
    assert [step["name"] for step in run["steps"]] == [
        *("uploaded", "opened", "planned", "launched", "machine started", "machine finished", "decided", "finished"),
    ]
    (one,) = run["tries_made"]
    assert (one["state"], one["counts"], one["size"]) == ("delivered", True, "shared-cpu-2x, 2048 MB")
    assert (one["fetch_s"], one["pass_s"], one["deliver_s"]) == (0.41, 1.27, 0.38)
    assert run["report"]["daily"]["first_day"] == str(world.published.as_of)
    assert run["cost"]["total_usd"] == run["usd"] == pytest.approx(0.003_147)
    assert [file["name"] for file in run["files"]] == ["contacts.db", "plan.json", "result.json", "done.json"]
    assert (run["plan"]["expected_s"], run["plan"]["size_bytes"]) == (6.2, 4_096)
    assert run["actions"] == []


def test_a_run_that_is_under_way(world: World) -> None:
    run = world.api.get(f"/v1/runs/harbor/{world.working.run}")
    assert (run["state"], run["cost"], run["report"]) == ("working", None, None)
    assert [step["name"] for step in run["steps"]] == ["uploaded", "opened", "planned", "launched", "machine started"]
    assert [one["state"] for one in run["tries_made"]] == ["working"]


def test_failures_in_words_and_what_may_be_done(world: World) -> None:
    failed = world.api.get(f"/v1/runs/acme/{world.failed.run}")
    assert (failed["state"], failed["reason"], failed["actions"]) == ("failed", FAILURE, ["retry"])
    assert [(one["attempt"], one["error"]) for one in failed["tries_made"]] == [(n, FAILURE) for n in (1, 2, 3)]
    held = world.api.get(f"/v1/runs/harbor/{world.held.run}")
    assert (held["reason"], held["actions"], held["verdict"]) == (HELD, ["approve", "reject"], None)


def test_organisations_and_what_is_wrong_with_their_data(world: World) -> None:
    lines = {org["org"]: org for org in world.api.get("/v1/orgs")["orgs"]}
    assert (lines["acme"]["rules"], lines["acme"]["timezone"], lines["acme"]["run_at_hour"]) == (
        *("own", "America/Chicago", 5),
    )
    assert lines["harbor"]["rules"] == "unusable"
    assert "cadence" in lines["harbor"]["rules_problem"]
    assert datetime.fromisoformat(lines["acme"]["next_run_at"]) > NOW - timedelta(minutes=1)
    acme = world.api.get("/v1/orgs/acme")
    assert acme["rules_yaml"].startswith("timezone: America/Chicago")
    assert acme["effective_rules"]["run_at_hour"] == 5
    assert acme["windows_of_states"] > 10
    findings = {finding["name"]: finding for finding in acme["quality"]["findings"]}
    assert findings["no_state"]["count"] == 98_310 // 90
    assert findings["no_state"]["meaning"] == "Neither state nor ZIP code says where: the contact gets no mail."


def test_organisations_by_the_beginning_of_their_names(world: World) -> None:
    bucket = world.api.deployed.bucket
    names = ["seek", "seek-1", "seek.2", "seeks"]
    for name in names:
        bucket.create(keys.rules(name), b"{}")
    found: list[str] = []
    cursor: str | None = ""
    for _ in names:
        asked = f"&cursor={cursor}" if cursor else ""
        page = world.api.ask("GET", f"/v1/orgs?starts=seek&limit=1{asked}").json()
        found += [org["org"] for org in page["orgs"]]
        cursor = page["next_cursor"]
    assert (sorted(found), cursor) == (names, None)
    assert world.api.get("/v1/orgs", starts="nobody")["orgs"] == []
    assert world.api.ask("GET", "/v1/orgs?starts=seek&cursor=acme").status_code == 400
    for name in names:
        bucket.delete(keys.rules(name))


OF_ACME = [
    "/v1/orgs/acme",
    "/v1/orgs/acme/database",
    f"/v1/runs/acme/{run_name('acme', 2)}",
    f"/v1/runs/acme/{run_name('acme', 2)}/files/done.json",
]


@pytest.mark.parametrize("path", OF_ACME)
def test_another_organisation_sees_nothing(world: World, path: str) -> None:
    assert world.api.ask("GET", path, "acme").status_code in {200, 303}
    refused = world.api.get(path, "harbor", 404)
    assert refused == {"error": "There is no organisation acme."}
    missing = world.api.get(path.replace("acme", "absent"), "harbor", 404)
    assert missing == {"error": "There is no organisation absent."}


def test_lists_hold_ones_own_alone(world: World) -> None:
    assert {run["org"] for run in world.api.get("/v1/runs", "acme")["runs"]} == {"acme"}
    assert [org["org"] for org in world.api.get("/v1/orgs", "acme")["orgs"]] == ["acme"]
    assert world.api.get("/v1/runs", "acme", 404, org="harbor") == {"error": "There is no organisation harbor."}
    assert world.api.get("/v1/runs", "nobody", 404) == {"error": "There is no organisation nobody."}
    assert world.api.get("/v1/orgs", "nobody")["orgs"] == []
    for token in ("one", "hook"):
        world.api.get("/v1/runs", token, 403)
        world.api.get("/v1/orgs", token, 403)
        world.api.get("/v1/orgs/acme", token, 404)
    for path in ("/v1/settings", "/v1/warmup", "/api/warmup/metrics", "/api/warmup/quota"):
        world.api.get(path, "acme", 403)


@pytest.mark.parametrize("order", ["cancel", "retry", "approve", "reject"])
def test_orders_of_another_organisation_are_refused(world: World, order: str) -> None:
    for run in (world.failed.run, NOWHERE):
        answer = world.api.ask("POST", f"/v1/runs/acme/{run}/{order}", "harbor")
        assert (answer.status_code, answer.json()) == (404, {"error": "There is no organisation acme."})
    assert world.api.ask("POST", "/v1/orgs/acme/runs", "harbor").status_code == 404
    assert world.sent() == []


def ordered(world: World, path: str, who: str = "acme", expect: int = 200, key: str | None = None) -> Any:  # noqa: ANN401 - JSON
    answer = world.api.ask("POST", path, who, headers={"Idempotency-Key": key} if key else {})
    assert answer.status_code == expect, answer.text
    return answer.json()


def test_run_now(world: World) -> None:
    first = ordered(world, "/v1/orgs/acme/runs", key="k-1")
    again = ordered(world, "/v1/orgs/acme/runs", key="k-1")
    other = ordered(world, "/v1/orgs/acme/runs", "operator", key="k-1")
    assert first["request_id"] == again["request_id"] != other["request_id"]
    sent = world.sent()
    assert {message["request_id"] for message in sent} == {first["request_id"], other["request_id"]}
    assert {(message["org"], message["trigger"]) for message in sent} == {("acme", "demand")}
    refused = ordered(world, "/v1/orgs/absent/runs", "operator", 409)
    assert refused == {"error": "The organisation 'absent' has no database in the bucket; upload one first."}


def test_retry(world: World) -> None:
    done = ordered(world, f"/v1/runs/acme/{world.failed.run}/retry")
    assert done["request_id"] == f"retry-{world.failed.run}"
    (message,) = world.sent()
    assert (message["trigger"], message["request_id"], message["as_of"]) == ("demand", done["request_id"], None)
    refused = ordered(world, f"/v1/runs/acme/{world.published.run}/retry", expect=409)
    assert "did not fail" in refused["error"]
    assert "no ended run" in ordered(world, f"/v1/runs/acme/{NOWHERE}/retry", expect=404)["error"]


def test_approve_then_the_first_word_counts(world: World) -> None:
    path = f"/v1/runs/harbor/{world.held.run}"
    done = ordered(world, f"{path}/approve", "harbor")
    (message,) = world.sent()
    assert (message["approved"], message["request_id"]) == (world.held.run, done["request_id"])
    assert "was approved" in ordered(world, f"{path}/reject", "operator", 409)["error"]
    after = world.api.get(path)
    assert (after["verdict"], after["actions"]) == ("approved", [])
    assert "is not held" in ordered(world, f"/v1/runs/acme/{world.published.run}/approve", expect=409)["error"]


def fetched(world: World, path: str) -> httpx.Response:
    answer = world.api.ask("GET", path)
    assert answer.status_code == 303
    return httpx.get(answer.headers["location"], trust_env=False, verify=NO_AUTHORITIES)


def test_downloads_lead_to_the_bucket(world: World) -> None:
    got = fetched(world, f"/v1/runs/acme/{world.published.run}/files/contacts.db")
    assert got.content.startswith(b"the database with its schedule")
    record = fetched(world, f"/v1/runs/acme/{world.published.run}/files/done.json")
    assert Done.model_validate_json(record.content) == world.published
    assert fetched(world, "/v1/orgs/acme/database").content == b"x" * 4_096
    for name in ("task.json", "candidates.bin", "..%2Fplan.json", "schedule.parquet"):
        world.api.get(f"/v1/runs/acme/{world.published.run}/files/{name}", expect=404)


def test_addresses_for_machines_are_never_shown(world: World) -> None:
    for run in (world.published, world.working, world.failed):
        text = world.api.ask("GET", f"/v1/runs/{run.org}/{run.run}").text
        assert "secret-address" not in text
        assert "X-Amz" not in text


def test_settings_show_no_secret(api: Api) -> None:
    found = {one["name"]: one for one in api.get("/v1/settings")["settings"]}
    assert (found["WARMUP_SHARDS"]["value"], found["WARMUP_SHARDS"]["changed"]) == ("3", True)
    assert found.get("MAILTIDE_FLY_TOKEN", {"value": "not set"})["value"] == "not set"
    assert found["MAILTIDE_BUCKET"]["default"] is None
    assert json.loads(found["MAILTIDE_MERGE_SIZE"]["value"])["memory_mb"] == 8_192
    assert all(one["description"] for one in found.values())
    assert "WARMUP_STAGGER_MIN_MS" not in found, "there are no other functions here to ask"


def test_the_last_24_hours(api: Api) -> None:
    found = api.get("/v1/warmup")
    starts = [hour["start_ms"] for hour in found["hours"]]
    assert len(starts) == 24
    assert {later - earlier for earlier, later in pairwise(starts)} == {3_600_000}
    assert (found["limit_per_hour"], found["paused"], found["paused_users"]) == (150_000, False, 0)
    own = api.get("/v1/warmup", "one")
    assert (own["hours"], own["paused_users"], own["user_paused"]) == ([], None, False)


def test_a_marker_that_outlived_its_run_is_not_open(world: World) -> None:
    marker = keys.marker("acme", world.published.run)
    standing = world.api.deployed.bucket.get(keys.marker("harbor", world.working.run))
    assert standing is not None
    world.api.deployed.bucket.create(marker, standing.body)
    try:
        states = [run["state"] for run in world.api.get("/v1/runs", org="acme")["runs"]]
    finally:
        world.api.deployed.bucket.delete(marker)
    assert states == ["published", "published", "failed"]


def test_cancel(world: World) -> None:
    """The last test: it makes an open run of its own."""
    objects = RunObjects(world.api.deployed.bucket, NOW)
    plan = objects.working("acme", 7, world.working.source)
    path = f"/v1/runs/acme/{plan.run}"
    assert world.api.get(path)["actions"] == ["cancel"]
    too_long = world.api.ask("POST", f"{path}/cancel", "acme", json={"reason": "x" * 301})
    assert too_long.status_code == 400
    said = world.api.ask("POST", f"{path}/cancel", "acme", json={"reason": "The wrong\nfile."})
    assert said.json()["note"] == f"Run {plan.run} is cancelled: it ends in a moment, and nothing is published."
    assert ordered(world, f"{path}/cancel", "operator")["org"] == "acme"
    after = world.api.get(path)
    assert (after["state"], after["verdict"], after["actions"]) == ("finishing", "cancelled", [])
    assert after["reason"] == "Cancelled by acme: The wrong file."
    messages = world.api.deployed.sqs.receive_message(QueueUrl=world.api.run_queues["finish"], MaxNumberOfMessages=10)[
        "Messages"
    ]
    assert {json.loads(message["Body"])["run"] for message in messages} == {plan.run}
    refused = ordered(world, f"/v1/runs/acme/{world.published.run}/cancel", expect=409)
    assert "it has ended as published" in refused["error"]
    assert ordered(world, f"/v1/runs/acme/{NOWHERE}/cancel", expect=404) == {
        "error": f"There is no run {NOWHERE} of acme."
    }
