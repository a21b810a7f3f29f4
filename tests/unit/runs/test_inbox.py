"""What arrives on a queue: messages of our own, events of S3, and neither."""

import json

import pytest

from mailtide.contracts import (
    CollectMessage,
    FinishMessage,
    LaunchMessage,
    Message,
    PlanMessage,
    TickMessage,
    WatchMessage,
)
from mailtide.runs.inbox import parse

RUN = "0123456789abcdef0123"


def event(key: object) -> str:
    detail = {
        "version": "0",
        "bucket": {"name": "b"},
        "object": {"key": key, "size": 3, "etag": "e"},
        "reason": "PutObject",
    }
    return json.dumps({"version": "0", "detail-type": "Object Created", "source": "aws.s3", "detail": detail})


@pytest.mark.parametrize(
    "message",
    [
        PlanMessage(org="acme"),
        PlanMessage(org="acme", trigger="demand", request_id="r", run=RUN),
        TickMessage(),
        LaunchMessage(org="acme", run=RUN, task="whole", attempt=1),
        CollectMessage(org="acme", run=RUN, task="chunk-0001", attempt=99),
        FinishMessage(org="acme", run=RUN),
        WatchMessage(),
    ],
)
def test_our_own_messages(message: Message) -> None:
    assert parse(message.model_dump_json()) == message


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("orgs/acme/contacts.db", PlanMessage(org="acme")),
        (f"runs/acme/{RUN}/result.json", FinishMessage(org="acme", run=RUN)),
        (f"runs/acme/{RUN}/tasks/whole/2/manifest.json", CollectMessage(org="acme", run=RUN, task="whole", attempt=2)),
        (f"runs/acme/{RUN}/tasks/merge/1/error.json", CollectMessage(org="acme", run=RUN, task="merge", attempt=1)),
        ("orgs/acme/backup/contacts.db", None),
        ("orgs/acme/rules.yaml", None),
        (f"runs/acme/{RUN}/done.json", None),
    ],
)
def test_events_by_their_key(key: str, message: Message | None) -> None:
    assert parse(event(key)) == message


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not JSON",
        "[]",
        "null",
        "17",
        "{}",
        '{"detail": {}}',
        '{"detail": {"object": {}}}',
        event(17),
        '{"kind": "unheard of"}',
        '{"kind": "plan"}',
        '{"kind": ["plan"]}',
        '{"kind": "plan", "org": "../acme"}',
        '{"kind": "plan", "org": "acme", "more": 1}',
        '{"kind": "finish", "org": "acme", "run": "short"}',
        '{"kind": "launch", "org": "acme", "run": "0123456789abcdef0123", "task": "whole", "attempt": 0}',
    ],
)
def test_anything_else_is_for_the_dead_letters(body: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - JSONDecodeError is one too, and the text is for a log
        parse(body)
