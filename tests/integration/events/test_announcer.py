"""RunFinished on a bus that two deployments share: each one's rule hears its own runs, and only what was not published."""

import json
from datetime import UTC, datetime
from typing import Literal

import boto3
import pytest
from moto import mock_aws

from mailtide.adapters.events import EventBridgeAnnouncer, make_events_client
from mailtide.contracts import RunFinished
from tests.support.template import load_template


def ended(status: Literal["published", "failed", "held"]) -> RunFinished:
    return RunFinished(
        org="acme",
        run="0" * 20,
        status=status,
        reason=None if status == "published" else "Because.",
        changed=False,
        published_etag=None,
        as_of=None,
        finished_at=datetime(2026, 11, 22, tzinfo=UTC),
    )


@mock_aws
def test_a_rule_hears_the_unpublished_runs_of_its_own_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    pattern = dict(load_template()["Resources"]["RunNotPublished"]["Properties"]["EventPattern"])
    prefix, _bucket = pattern["resources"][0]["Fn::Join"][1]
    sqs, events = boto3.client("sqs"), boto3.client("events")
    queue = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="not-published", EventPattern=json.dumps(pattern | {"resources": [f"{prefix}ours"]}))
    events.put_targets(Rule="not-published", Targets=[{"Id": "queue", "Arn": arn}])
    for bucket in ("ours", "theirs"):
        announcer = EventBridgeAnnouncer(make_events_client(), "default", bucket)
        for status in ("published", "failed", "held"):
            announcer.run_finished(ended(status))
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    heard = [json.loads(message["Body"]) for message in messages]
    assert sorted(one["detail"]["status"] for one in heard) == ["failed", "held"]
    assert {tuple(one["resources"]) for one in heard} == {("arn:aws:s3:::ours",)}
