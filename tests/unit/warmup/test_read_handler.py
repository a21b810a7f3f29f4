"""read_mailboxes' messages: the sample is understood, and what is no message becomes a dead letter by itself."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from mailtide.polling import BatchContext
from mailtide.warmup.contracts import day_of
from mailtide.warmup.reading.contracts import MAX_VISITS_A_MESSAGE, ReadMessage

SAMPLE = Path(__file__).resolve().parents[3] / "events" / "read_mailboxes.visits.json"


def test_the_sample_is_understood() -> None:
    (record,) = json.loads(SAMPLE.read_text())["Records"]
    message = ReadMessage.model_validate_json(record["body"])
    assert 1 < len(message.mailbox_ids) <= MAX_VISITS_A_MESSAGE
    assert day_of(message.until_ms) == message.day


def test_what_is_no_message_is_named_and_nothing_is_wired_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "mailtide")
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Mailtide")
    from mailtide.read_handler import handler

    many = [f"box-{number}" for number in range(MAX_VISITS_A_MESSAGE + 1)]
    bodies = [
        "no JSON",
        '{"kind":"send"}',
        json.dumps({"day": "2026-11-21", "shard": 0, "mailbox_ids": many, "until_ms": 1}),
    ]
    records: list[dict[str, Any]] = [{"messageId": str(place), "body": body} for place, body in enumerate(bodies)]
    with pytest.warns(UserWarning, match="No application metrics"):
        answer = handler({"Records": records}, BatchContext("read_mailboxes", time.monotonic() + 60))
    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == ["0", "1", "2"]
    assert "box-3" not in capsys.readouterr().out
