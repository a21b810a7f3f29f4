"""read_mailboxes' messages: the sample is understood, and what is no message becomes a dead letter by itself."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from mailtide.polling import BatchContext
from mailtide.warmup.contracts import day_of
from mailtide.warmup.reading.contracts import MAX_VISITS_A_MESSAGE, ReadMessage
from mailtide.warmup.reading.read import VisitReport

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


def test_a_call_is_told_by_counts_and_a_refused_key_as_an_error(caplog: pytest.LogCaptureFixture) -> None:
    from mailtide.read_handler import metrics, write_down

    write_down([VisitReport("box-1", "visited", inbox=2), VisitReport("box-2", "key_refused")])
    told = {name: metric["Value"] for name, metric in metrics.metric_set.items()}
    metrics.clear_metrics()
    assert told == {
        "visit_visited": [1.0],
        "visit_key_refused": [1.0],
        "key_refused": [1.0],
        "read_inbox": [2.0],
        "visit_failed_excess": [-0.2],
    }
    [whole, refused] = [vars(record) for record in caplog.records]
    assert (whole["levelname"], whole["ends"]) == ("INFO", {"visited": 1, "key_refused": 1})
    assert (refused["levelname"], refused["message"], refused["visits"]) == ("ERROR", "key_refused", 1)
    assert "box-" not in f"{whole}{refused}"
