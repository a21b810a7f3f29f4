"""The deployed API, asked over HTTP at its function URL."""

import json

import pytest

from localstack.cloud import ROOT, LocalCloud
from tests.e2e.conftest import Ask


def test_status_and_control(ask: Ask) -> None:
    health = ask("GET", "/api/health", headers={"Authorization": ""})
    assert (health.status_code, health.json()["status"]) == (200, "ok")
    assert health.headers["x-content-type-options"] == "nosniff"
    wrong = ask("GET", "/api/warmup/metrics", headers={"Authorization": "Bearer mt_wrong"})
    assert (wrong.status_code, wrong.json()) == (401, {"error": "This token is not known, or it has expired."})
    assert ask("GET", "/api/warmup/quota?limit=0").status_code == 400
    # Nobody is in the pool of this stack, so there is no roster.
    assert ask("GET", "/api/warmup/quota").status_code == 404
    paused = ask("POST", "/api/warmup/control", json={"action": "pause"})
    assert (paused.status_code, paused.json()["scope"]) == (200, "everything")
    assert ask("POST", "/api/warmup/control", json={"action": "resume"}).status_code == 200
    nobody = ask("POST", "/api/warmup/control", json={"action": "pause", "user": "nobody"})
    assert (nobody.status_code, nobody.json()) == (404, {"error": "There is no mailbox of a user nobody."})
    missing = ask("GET", "/api/warmup/mailbox", params={"id": "nobody"})
    assert missing.status_code == 404


def test_the_settings_of_other_functions_are_shown_too(ask: Ask) -> None:
    found = {one["name"]: one for one in ask("GET", "/v1/settings").json()["settings"]}
    for name in ("WARMUP_STAGGER_MIN_MS", "WARMUP_SLOW_PACE", "WARMUP_READ_CONCURRENT", "MAILTIDE_FLY_REGIONS"):
        assert found[name]["value"] not in ("", None), name
    assert found["WARMUP_STAGGER_MIN_MS"]["changed"] == (
        found["WARMUP_STAGGER_MIN_MS"]["value"] != found["WARMUP_STAGGER_MIN_MS"]["default"]
    )
    assert not {"MAILTIDE_FLY_TOKEN", "MAILTIDE_API_TOKENS"} & found.keys()


def test_a_trigger_once_by_its_key(ask: Ask) -> None:
    """The deployed role may do all that this takes: the table of what was carried out, and the queue."""
    headers = {"Idempotency-Key": "e2e-1"}
    first, second = (
        ask("POST", "/api/warmup/control", json={"action": "trigger"}, headers=headers).json() for _ in range(2)
    )
    assert first == second == {"action": "trigger", "scope": "everything", "queued": 1, "note": "A tick is queued."}
    text = ask("GET", "/api/warmup/metrics?format=prometheus")
    assert text.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(("sample", "status"), [("api.health.json", 200), ("api.wrong_token.json", 401)])
def test_a_deployed_function_takes_its_sample(cloud: LocalCloud, sample: str, status: int) -> None:
    payload = (ROOT / "events" / sample).read_bytes()
    answer = cloud.client("lambda").invoke(FunctionName=cloud.stack.outputs["ApiName"], Payload=payload)
    assert "FunctionError" not in answer
    assert json.loads(answer["Payload"].read())["statusCode"] == status
