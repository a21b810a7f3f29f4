"""Every file in events/ is what SQS would hand to its function, and the function would understand it."""

import ast
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSEvent

from mailtide import contracts
from mailtide.contracts import (
    CollectMessage,
    FinishMessage,
    LaunchMessage,
    Message,
    PlanMessage,
    SourceRef,
    TickMessage,
    WatchMessage,
    WebhookMessage,
)
from mailtide.runs.inbox import parse
from mailtide.runs.naming import run_id

ROOT = Path(__file__).resolve().parents[3]
FUNCTIONS = sorted(
    path.parent.name for path in (ROOT / "functions").glob("*/app.py") if "queue_function" in path.read_text()
)
"""Those of the runs; the warm-up's have their own tests."""
FILES = sorted(path for path in (ROOT / "events").iterdir() if path.name.partition(".")[0] in FUNCTIONS)
ORG = "harbor-benefits"
RUN = "7abd3c7bebca4a1f8d67"
EXPECTED: dict[str, Message] = {
    "plan_run.upload.json": PlanMessage(org=ORG),
    "plan_run.tick.json": TickMessage(),
    "plan_run.demand.json": PlanMessage(org=ORG, trigger="demand", request_id="5d0c9be41a7f2e36"),
    "launch_machine.first_try.json": LaunchMessage(org=ORG, run=RUN, task="whole", attempt=1),
    "launch_machine.next_try.json": LaunchMessage(org=ORG, run=RUN, task="whole", attempt=2),
    "collect_parts.error.json": CollectMessage(org=ORG, run=RUN, task="whole", attempt=1),
    "collect_parts.manifest.json": CollectMessage(org=ORG, run=RUN, task="whole", attempt=2),
    "finish_run.result.json": FinishMessage(org=ORG, run=RUN),
    "watch_runs.minute.json": WatchMessage(),
    "send_webhook.first_try.json": WebhookMessage(org=ORG, run=RUN),
}


def event_of(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def accepted_by(function: str) -> set[type]:
    """The messages that a function's app.py names in its call of queue_function."""
    tree = ast.parse((ROOT / "functions" / function / "app.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [name.id for call in calls for name in call.args if isinstance(name, ast.Name)]
    return {getattr(contracts, name) for name in names}


def test_every_file_has_its_expected_message() -> None:
    assert {path.name for path in FILES} == set(EXPECTED)


def test_every_function_has_a_sample() -> None:
    assert {path.name.partition(".")[0] for path in FILES} == set(FUNCTIONS)


def test_every_kind_of_message_that_a_function_takes_has_a_sample() -> None:
    for function in FUNCTIONS:
        samples = {type(message) for name, message in EXPECTED.items() if name.startswith(f"{function}.")}
        assert samples == accepted_by(function), function


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_sample_is_parsed_to_its_message(path: Path) -> None:
    (record,) = SQSEvent(event_of(path)).records
    assert parse(record.body) == EXPECTED[path.name]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_sample_has_the_shape_that_sqs_delivers(path: Path) -> None:
    (raw,) = event_of(path)["Records"]
    (record,) = SQSEvent(event_of(path)).records
    first, second = path.name.partition(".")[0].split("_")
    queue = (second if first == "send" else first).capitalize() + "Queue"
    assert record.event_source == "aws:sqs"
    assert record.event_source_arn.startswith(f"arn:aws:sqs:us-east-1:123456789012:mailtide-{queue}-")
    assert record.md5_of_body == hashlib.md5(record.body.encode(), usedforsecurity=False).hexdigest()
    assert int(record.attributes.sent_timestamp) <= int(record.attributes.approximate_first_receive_timestamp)
    assert set(raw) == {
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfBody",
        "eventSource",
        "eventSourceARN",
        "awsRegion",
    }


@pytest.mark.parametrize("path", [path for path in FILES if "Object Created" in path.read_text()], ids=lambda p: p.stem)
def test_a_sample_of_s3_has_the_envelope_of_eventbridge(path: Path) -> None:
    envelope = json.loads(event_of(path)["Records"][0]["body"])
    detail = envelope["detail"]
    assert set(envelope) == {
        "version",
        "id",
        "detail-type",
        "source",
        "account",
        "time",
        "region",
        "resources",
        "detail",
    }
    assert envelope["resources"] == [f"arn:aws:s3:::{detail['bucket']['name']}"]
    assert set(detail["object"]) == {"key", "size", "etag", "version-id", "sequencer"}
    assert detail["reason"] == "PutObject"


def test_the_run_of_the_samples_is_the_one_that_their_upload_starts() -> None:
    body = json.loads(event_of(ROOT / "events" / "plan_run.upload.json")["Records"][0]["body"])
    uploaded = body["detail"]["object"]
    source = SourceRef(
        etag=uploaded["etag"],
        last_modified=datetime.fromisoformat(body["time"]).astimezone(UTC),
        size_bytes=uploaded["size"],
    )
    assert run_id(ORG, source) == RUN
