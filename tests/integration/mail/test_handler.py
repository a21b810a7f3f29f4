"""functions/send_mail as it is deployed: wired by its environment, handed what SQS delivers."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from mailtide.adapters.kms import KmsSecrets
from mailtide.adapters.s3 import S3Bucket
from mailtide.warmup.contracts import SendMessage, day_of
from mailtide.warmup.control import set_paused
from tests.integration.mail.conftest import Cloud, World
from tests.support import forkserver
from tests.support.mail_servers import LoopThread, RecordingServer

ROOT = Path(__file__).resolve().parents[3]
EVENTS = sorted((ROOT / "events").glob("send_mail.*.json"))
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
OWN_TEMPLATES = b"""
templates:
  - subject: "Only {here|here}"
    body: "Dear [[recipient]], {this|this} is mine. [[sender]]"
    replies: ["Yes."]
"""


class Deployed:
    """A bucket, a queue and the environment of the function."""

    def __init__(self, cloud: Cloud) -> None:
        self.s3 = boto3.client("s3", endpoint_url=cloud.url, region_name="us-east-1", **keys())
        self.sqs = boto3.client("sqs", endpoint_url=cloud.url, region_name="us-east-1", **keys())
        self.name = f"mailtide-{uuid4().hex[:8]}"
        self.s3.create_bucket(Bucket=self.name)
        self.queue_url = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
        self.environment = {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": cloud.url,
            "POWERTOOLS_SERVICE_NAME": "mailtide",
            "POWERTOOLS_METRICS_NAMESPACE": "Mailtide",
            "POWERTOOLS_TRACE_DISABLED": "true",
            "MAILTIDE_BUCKET": self.name,
            "MAILTIDE_WARMUP_SEND_QUEUE_URL": self.queue_url,
            "MAILTIDE_MAILBOXES_TABLE": cloud.mailboxes_table,
            "MAILTIDE_LEDGER_TABLE": cloud.ledger_table,
            "MAILTIDE_LIMITS_TABLE": cloud.limits_table,
            "MAILTIDE_SECRETS_KMS_KEY_ID": cloud.key_id,
            "WARMUP_STAGGER_MIN_MS": "0",
            "WARMUP_STAGGER_MAX_MS": "0",
        }

    def invoke(self, *bodies: str) -> tuple[list[str], str]:
        """Message ids that return to the queue (their places as text), and everything that was logged."""
        records = [{"messageId": str(place), "body": body} for place, body in enumerate(bodies)]
        done = forkserver.run(
            "tests.support.invoke_function:main",
            "send_mail",
            env=self.environment,
            text=json.dumps({"Records": records}),
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]], done.stdout + done.stderr


def keys() -> dict[str, Any]:
    return {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


@pytest.fixture
def deployed(cloud: Cloud) -> Deployed:
    return Deployed(cloud)


@pytest.fixture
def server(loop: LoopThread) -> Iterator[RecordingServer]:
    started = RecordingServer(loop)
    yield started
    started.close()


@pytest.fixture
def world(server: RecordingServer, world_at: Callable[..., World]) -> World:
    return world_at(server.port)


def now_message(world: World, **changes: object) -> SendMessage:
    now_ms = int(time.time() * 1000)
    sender, recipient = world.mailbox("alpha"), world.mailbox("beta")
    fields: dict[str, Any] = {"day": day_of(now_ms), "due_ms": now_ms, "tick_end_ms": now_ms + 600_000}
    return world.message(sender, recipient, **(fields | changes))


@pytest.mark.parametrize("path", EVENTS, ids=lambda path: path.stem)
def test_the_samples_are_understood(path: Path) -> None:
    [record] = json.loads(path.read_text())["Records"]
    message = SendMessage.model_validate_json(record["body"])
    assert (message.reply_to is not None) == ("reply" in path.name)


def test_a_batch(deployed: Deployed, world: World, server: RecordingServer) -> None:
    message = now_message(world)
    deployed.s3.put_object(Bucket=deployed.name, Key=f"warmup/templates/{message.user_id}.yaml", Body=OWN_TEMPLATES)
    body = message.model_dump_json()
    failed, log = deployed.invoke(body, "no JSON", body, '{"kind": "send"}')
    assert failed == ["1", "3"]
    [mail] = server.record.mails
    assert mail["Subject"] == "Only here"
    assert "Dear The beta, this is mine. The alpha" in str(mail.get_payload())
    assert '"sent":1' in log.replace(" ", "")
    for secret in ("correct horse", message.mailbox_id, "beta@"):
        assert secret not in log
    assert deployed.invoke(body)[0] == []
    assert len(server.record.mails) == 1


def test_a_stop_holds(deployed: Deployed, world: World, server: RecordingServer) -> None:
    message = now_message(world)
    set_paused(S3Bucket(deployed.name, deployed.s3), paused=True, user_id=message.user_id)
    assert deployed.invoke(message.model_dump_json())[0] == []
    assert server.record.mails == []


def test_a_key_that_is_refused_is_told(deployed: Deployed, world: World, server: RecordingServer) -> None:
    kms = boto3.client("kms", endpoint_url=world.cloud.url, region_name="us-east-1", **keys())
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    world.cloud = replace(world.cloud, secrets=KmsSecrets(kms, key_id))
    message = now_message(world)
    deployed.environment["MAILTIDE_SECRETS_KMS_KEY_ID"] = key_id
    kms.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    failed, log = deployed.invoke(message.model_dump_json())
    assert (failed, server.record.mails) == ([], [])
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert [(line["level"], line["mails"]) for line in lines if line.get("message") == "key_refused"] == [("ERROR", 1)]
    assert [line["key_refused"] for line in lines if "key_refused" in line] == [[1.0]]


def test_what_the_users_limit_refuses_is_put_back_or_left_to_a_later_tick(
    deployed: Deployed, world: World, server: RecordingServer
) -> None:
    """Put back as a new message only when the next hour begins within what a queue can delay."""
    deployed.environment["WARMUP_USER_HOURLY_LIMIT"] = "1"
    first = now_message(world)
    late = int(time.time() * 1000) + 3 * 3_600_000
    second = world.message(world.mailbox("gamma"), world.mailbox("delta"), due_ms=late, tick_end_ms=late, day=first.day)
    assert second.user_id == first.user_id
    assert deployed.invoke(first.model_dump_json())[0] == []
    failed, log = deployed.invoke(second.model_dump_json())
    assert failed == []
    assert len(server.record.mails) == 1
    attributes = deployed.sqs.get_queue_attributes(QueueUrl=deployed.queue_url, AttributeNames=["All"])["Attributes"]
    waiting = int(attributes["ApproximateNumberOfMessagesDelayed"]) + int(attributes["ApproximateNumberOfMessages"])
    said = {name for name in ("mail_put_back", "mail_given_back") if f'"{name}":[1.0]' in log}
    assert said == ({"mail_put_back"} if waiting else {"mail_given_back"})
    left_s = 3_600 - time.time() % 3_600
    if not 840 < left_s < 960:
        assert waiting == (left_s < 900)
