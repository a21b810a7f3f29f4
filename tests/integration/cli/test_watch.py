"""`mailtide runs watch` and `cancel`, and what a shell completes, against objects as functions and machines leave them."""

import json
import signal
from datetime import UTC, datetime, timedelta
from os import kill
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mailtide.adapters.s3 import S3Bucket
from mailtide.contracts import MESSAGE, Cancellation, FinishMessage, Plan, SourceRef
from mailtide.runs import keys, store
from tests.integration.cli.conftest import BUCKET, Shell
from tests.support import forkserver
from tests.support.run_objects import FAILURE, RunObjects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

NOW = datetime.now(UTC)


@pytest.fixture
def objects(s3: "S3Client") -> RunObjects:
    return RunObjects(S3Bucket(BUCKET, s3), NOW)


@pytest.fixture
def source(objects: RunObjects) -> SourceRef:
    return objects.organisation("acme")


def test_lists_show_what_is_open_with_whole_ids(shell: Shell, objects: RunObjects, source: SourceRef) -> None:
    done = objects.published("acme", 1, source, NOW - timedelta(days=1))
    objects.latest("acme", done, source)
    plan = objects.working("acme", 2, source)
    (line,) = shell.run("orgs", "list", "--json").facts()
    assert (line["state"], line["open_run"], line["run"]) == ("running", plan.run, done.run)
    assert datetime.fromisoformat(line["next_run_at"]) > NOW
    assert [row["status"] for row in shell.run("runs", "list", "acme", "--json").facts()] == ["running", "published"]
    assert f"mailtide runs watch {plan.run} follows it" in shell.run("runs", "show", "acme", plan.run).err
    narrow = shell.run("orgs", "list", COLUMNS="60").out + shell.run("runs", "list", "acme", COLUMNS="60").out
    assert max(map(len, narrow.splitlines())) <= 60
    assert narrow.count(done.run) == 2
    assert narrow.count(plan.run) == 1


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_that_was_published(shell: Shell, objects: RunObjects, source: SourceRef) -> None:
    done = objects.published("acme", 1, source, NOW - timedelta(minutes=2))
    objects.latest("acme", done, source)
    events = lines(shell.run("runs", "watch", "acme", "--json").out)
    assert [(event["place"], event["event"]) for event in events] == [
        *(("bucket", "opened"), ("bucket", "planned"), ("whole/1", "launched"), ("whole/1", "working")),
        *(("whole/1", "delivered"), ("bucket", "decided"), ("bucket", "published")),
    ]
    assert events[1]["seconds"] == 1.4
    shown = shell.run("runs", "watch", done.run, COLUMNS="60")
    assert shown.code == 0
    assert shown.out.startswith(f"Run {done.run} of acme\n")
    assert "+1.4 s  planned    about 98,523 contacts, shared-cpu-2x, 2048 MB" in shown.out
    assert "\x1b" not in shown.out


def test_a_run_that_failed_gives_exit_code_1(shell: Shell, objects: RunObjects, source: SourceRef) -> None:
    done = objects.failed("acme", 1, source, NOW - timedelta(minutes=5))
    shown = shell.run("runs", "watch", "acme", done.run)
    assert (shown.code, shown.err) == (1, "")
    assert shown.out.count(f"failed     whole/3  {FAILURE}") == 1
    assert shown.out.splitlines()[-1].endswith(f"failed     {FAILURE}")


def started(shell: Shell, log: Path, *arguments: str) -> forkserver.Started:
    env = shell.environment | {"PYTHONUNBUFFERED": "1"}
    return forkserver.Started("runs", "watch", *arguments, "--interval", "0.2", env=env, log=log)


def wait_for(log: Path, text: str, process: forkserver.Started) -> None:
    while text not in (log.read_text() if log.exists() else ""):
        assert process.poll() is None, log.read_text()


def test_it_follows_live_until_the_end(shell: Shell, objects: RunObjects, source: SourceRef, tmp_path: Path) -> None:
    plan, log = objects.working("acme", 1, source), tmp_path / "log"
    process = started(shell, log, "acme", "--json")
    wait_for(log, '"working"', process)
    word = Cancellation(by="ana", reason="Wrong file", decided_at=NOW)
    store.create_once(objects.bucket, keys.cancel("acme", plan.run), word)
    wait_for(log, '"cancelled"', process)
    other = objects.failed("acme", 2, source, NOW)
    body = other.model_copy(update={"run": plan.run, "reason": word.failure.message}).to_bytes()
    objects.bucket.create(keys.done("acme", plan.run), body)
    assert process.wait(60) == 1
    assert [event["event"] for event in lines(log.read_text())][-2:] == ["cancelled", "failed"]


def test_ctrl_c_stops_looking(shell: Shell, objects: RunObjects, source: SourceRef, tmp_path: Path) -> None:
    objects.working("acme", 1, source)
    log = tmp_path / "log"
    process = started(shell, log, "acme")
    wait_for(log, "working", process)
    kill(process.pid, signal.SIGINT)
    assert process.wait(60) == 130
    assert log.read_text().splitlines()[-1] == "mailtide: Stopped."


def test_what_is_no_run_is_refused(shell: Shell, source: SourceRef) -> None:
    assert source.size_bytes
    missing = shell.run("runs", "watch", "0" * 20)
    assert (missing.code, missing.err) == (
        2, f"mailtide: No organisation has a run {'0' * 20}; runs are kept for 30 days.\n"
    )  # fmt: skip
    none = shell.run("runs", "watch", "acme", "--wait", "0")
    assert none.code == 2
    assert "'acme' has no run" in none.err
    assert "is too much" in shell.run("runs", "watch", "a", "b", "c").err


def cancelling(shell: Shell, sqs: "SQSClient") -> Shell:
    return Shell(shell.environment | {"MAILTIDE_FINISH_QUEUE_URL": sqs.create_queue(QueueName="finish")["QueueUrl"]})


def test_cancel(shell: Shell, objects: RunObjects, source: SourceRef, sqs: "SQSClient") -> None:
    plan: Plan = objects.working("acme", 1, source)
    assert "MAILTIDE_FINISH_QUEUE_URL is missing" in shell.run("runs", "cancel", plan.run).err
    assert store.read_cancellation(objects.bucket, "acme", plan.run) is None
    asked = cancelling(shell, sqs)
    told = asked.run("runs", "cancel", plan.run, "--reason", "the\nwrong \x1b[31mfile", "--by", "ana", "--json").facts()
    assert (told["org"], told["by"], told["reason"]) == ("acme", "ana", "the wrong [31mfile")
    again = asked.run("runs", "cancel", "acme", plan.run, "--by", "ben")
    assert again.out == f"Run {plan.run} of acme is cancelled: it ends in a moment, and nothing is published.\n"
    standing = store.read_cancellation(objects.bucket, "acme", plan.run)
    assert standing is not None
    assert standing.by == "ana"
    url = asked.environment["MAILTIDE_FINISH_QUEUE_URL"]
    (message, *_) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert MESSAGE.validate_json(message["Body"]) == FinishMessage(org="acme", run=plan.run)
    assert asked.run("runs", "cancel", plan.run, "--reason", "x" * 301).code == 2


def test_what_is_decided_cannot_be_cancelled(
    shell: Shell, objects: RunObjects, source: SourceRef, sqs: "SQSClient"
) -> None:
    done = objects.published("acme", 1, source, NOW - timedelta(minutes=2))
    refused = cancelling(shell, sqs).run("runs", "cancel", done.run)
    assert refused.code == 2
    assert "cannot be cancelled: it has ended as published" in refused.err
    objects.bucket.delete(keys.done("acme", done.run))
    objects.bucket.create(keys.marker("acme", done.run), b"{}")
    refused = cancelling(shell, sqs).run("runs", "cancel", done.run)
    assert "cannot be cancelled: it is being published already" in refused.err
    assert store.read_cancellation(objects.bucket, "acme", done.run) is None


def completed(shell: Shell, *words: str) -> list[str]:
    """What bash is offered for the last word."""
    asked = {"_MAILTIDE_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = Shell(shell.environment | asked).run()
    assert done.code == 0
    return [line.partition(",")[2] for line in done.out.splitlines() if line]


def test_a_shell_completes_commands_options_and_names(shell: Shell, objects: RunObjects, source: SourceRef) -> None:
    plan = objects.working("acme", 1, source)
    assert completed(shell, "mailtide", "do") == ["doctor"]
    assert completed(shell, "mailtide", "runs", "ca") == ["cancel"]
    assert completed(shell, "mailtide", "doctor", "--st") == ["--stack"]
    assert completed(shell, "mailtide", "run", "ac") == ["acme"]
    assert completed(shell, "mailtide", "runs", "show", "acme", plan.run[:2]) == [plan.run]
    assert completed(shell, "mailtide", "logs", plan.run[:2]) == [plan.run]
    assert completed(Shell(shell.environment | {"MAILTIDE_BUCKET": "nowhere"}), "mailtide", "run", "ac") == []
    for name in ("bash", "zsh", "fish"):
        assert "_MAILTIDE_COMPLETE" in shell.run("completion", name, "--json").facts()["script"]
