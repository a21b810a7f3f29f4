"""A daily cycle without an upload on the deployed template: feedback comes in by files, the run's end goes out by a webhook."""

import base64
import hmac
import json
import sqlite3
import time
from pathlib import Path

import pytest

from localstack.cloud import LocalCloud
from mailtide.contracts import FeedbackFolded, FeedbackReport
from mailtide.runs import keys
from mailtide.runs.signing import derive_secret
from tests.e2e.scenario import Organisation, Wait, make_database
from tests.integration.webhook.conftest import Receiver, receiver

__all__ = ["receiver"]

TIMEOUT_S = 120.0
"""Three functions start cold, which takes long where much else runs."""


@pytest.fixture
def organisation(cloud: LocalCloud, tmp_path: Path) -> Organisation:
    return Organisation(cloud, "daily-cycle", tmp_path)


def test_feedback_comes_in_and_the_webhook_goes_out(
    cloud: LocalCloud, organisation: Organisation, receiver: Receiver, wait_for_done: Wait
) -> None:
    s3, bucket, name = organisation.s3, cloud.stack.bucket, organisation.name
    s3.put_object(Bucket=bucket, Key=keys.webhook(name), Body=json.dumps({"url": f"{receiver.url}/in"}).encode())
    organisation.upload(make_database(organisation.folder / "a.db"))
    first = wait_for_done(name)
    organisation.assert_published(first)

    lines = [
        {"state": "clicked", "contact_id": 7, "at": "2026-01-02T03:04:05Z"},
        {"state": "unsubscribed", "contact_id": 9},
        {"state": "unheard-of"},
    ]
    body = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
    s3.put_object(Bucket=bucket, Key=f"{keys.feedback(name)}today.jsonl", Body=body)
    organisation.send("plan", {"kind": "plan", "org": name, "trigger": "demand", "request_id": "today"})
    done = wait_for_done(name, count=2)
    assert (done.status, done.changed) == ("published", True), done.reason
    told = FeedbackReport.model_validate((done.report or {})["feedback"])
    assert [(file.name, file.applied, file.refused) for file in told.files] == [("today.jsonl", 2, 1)]
    assert told.problems == (
        "today.jsonl, line 3: state must be one of sent, delivered, bounced, clicked, answered, unsubscribed.",
    )

    path = organisation.folder / "published.db"
    path.write_bytes(organisation.read(keys.source(name)))
    db = sqlite3.connect(path)
    assert db.execute("SELECT contact_id, clicked_at FROM tracking_clicks").fetchall() == [
        (7, "2026-01-01T21:04:05-06:00")
    ]
    assert db.execute("SELECT email FROM suppressions").fetchall() == [("p9@example.com",)]
    assert db.execute("SELECT count(*) FROM email_schedules WHERE contact_id = 9").fetchone() == (0,)
    assert db.execute("SELECT file FROM scheduler_feedback").fetchall() == [("today.jsonl",)]
    db.close()
    folded = FeedbackFolded.model_validate_json(organisation.read(keys.feedback_folded(name)))
    assert [file.name for file in folded.files] == ["today.jsonl"]
    organisation.assert_quiet()
    left = [key for key in organisation.listed(f"{keys.RUNS}{name}/") if key.endswith((".db", ".bin", ".parquet"))]
    assert left == [], "what machines delivered is gone"

    ends_at = time.monotonic() + TIMEOUT_S
    while {headers["webhook-id"] for _, _, headers in receiver.seen} != {f"run_{first.run}", f"run_{done.run}"}:
        assert time.monotonic() < ends_at, receiver.seen
        time.sleep(0.2)
    secret = cloud.client("secretsmanager").get_secret_value(SecretId=cloud.stack.outputs["WebhookKeySecret"])
    own = derive_secret(secret["SecretString"].encode(), name, 1)
    for path_, sent, headers in receiver.seen:
        assert path_ == "/in"
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + sent
        wanted = "v1," + base64.b64encode(hmac.digest(own, signed, "sha256")).decode()
        assert headers["webhook-signature"] == wanted
        assert json.loads(sent)["data"]["status"] == "published"
