"""`mailtide runs`: what has ended, and a person's word about what is held."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mailtide.contracts import (
    MESSAGE,
    Cost,
    Done,
    Launch,
    MachineUse,
    Plan,
    PlanMessage,
    SourceRef,
    Step,
    Verdict,
)  # fmt: skip
from mailtide.machines import MachineSize
from mailtide.runs import keys
from tests.integration.cli.conftest import BUCKET, Shell

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

RUN, OTHER = "0123456789abcdef0123", "fedcba98765432100123"
THEN = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
REASON = "The run is held, because it finds 10 contacts where the last published run found 900; approve or reject it."

KEPT = Launch(
    machine_id="d891", machine_name="mailtide-kept-1", region="iad", launched_at=THEN, kept=True,
    size=MachineSize(cpu_kind="shared", cpus=1, memory_mb=512),
)  # fmt: skip


@pytest.fixture
def held(s3: "S3Client") -> Plan:
    """A held run of the standing database, and an older one that was published."""
    s3.put_object(Bucket=BUCKET, Key=keys.source("acme"), Body=b"a database")
    head = s3.head_object(Bucket=BUCKET, Key=keys.source("acme"))
    source = SourceRef(etag=head["ETag"].strip('"'), last_modified=head["LastModified"], size_bytes=10)
    plan = Plan(
        org="acme", run=RUN, trigger="upload", source=source, as_of=date(2026, 11, 20), planned_at=THEN, opened_at=THEN,
        rules_yaml=None, rules_sha256="0", inspection=None, tasks=(), deadline_s=60, expected_s=1, expected_usd=0,
    )  # fmt: skip
    done = Done(
        org="acme", run=RUN, status="held", reason=REASON, as_of=plan.as_of, tries=1, finished_at=THEN,
        report={"contacts": 10, "inserted": 30}, steps=(Step(name="decided", at=THEN),),
        cost=Cost(machine_s=2.5, machine_usd=0.00001, egress_usd=0, requests_usd=0.0002),
        machines=(MachineUse(task="whole", attempt=1, launch=KEPT, seconds=2.5, usd=0.00001),),
    )  # fmt: skip
    older = Done(org="acme", run=OTHER, status="published", finished_at=THEN - timedelta(days=1))
    for key, value in (
        (keys.plan("acme", RUN), plan), (keys.done("acme", RUN), done), (keys.done("acme", OTHER), older)
    ):  # fmt: skip
        s3.put_object(Bucket=BUCKET, Key=key, Body=value.to_bytes())
    return plan


def test_runs_are_listed_newest_first_and_shown(shell: Shell, held: Plan) -> None:
    rows = shell.run("runs", "list", "acme", "--json").facts()
    assert [(row["run"], row["status"], row["as_of"]) for row in rows] == [
        (held.run, "held", "2026-11-20"), (OTHER, "published", None)
    ]  # fmt: skip
    assert [row["run"] for row in shell.run("runs", "list", "acme", "--limit", 1, "--json").facts()] == [RUN]
    listed = shell.run("runs", "list", "acme", COLUMNS="300").out
    assert "2026-11-20 09:30:00" in listed
    assert REASON in listed
    shown = shell.run("runs", "show", "acme", RUN, COLUMNS="200").out
    for words in (
        f"Run {RUN} of acme: held",
        REASON,
        "decided",
        "contacts",
        "Tries: 1; machine 2.5 s; about $0.000210: machines $0.000010, transfer $0.000000, requests $0.000200.",
    ):
        assert words in shown
    assert re.search(r"whole +│ 1 +│ d891 +│ kept │ shared-cpu-1x, 512 MB +│ +2\.5 │ 0\.000010 │", shown)
    assert Done.model_validate(shell.run("runs", "show", "acme", RUN, "--json").facts()).reason == REASON
    assert shell.run("runs", "list", "beta").out == "No run of beta is open or has ended yet.\n"


def test_an_approval_is_one_request_however_often_it_is_given(shell: Shell, held: Plan, sqs: "SQSClient") -> None:
    assert shell.run("runs", "approve", "acme", RUN, "--json").facts()["request_id"] == f"approve-{RUN}"
    assert "is approved" in shell.run("runs", "approve", "acme", RUN).out
    url = shell.environment["MAILTIDE_PLAN_QUEUE_URL"]
    bodies = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            bodies.append(MESSAGE.validate_json(message["Body"]))
    wanted = PlanMessage(
        org="acme", trigger="demand", as_of=held.as_of, request_id=f"approve-{RUN}", approved=RUN
    )  # fmt: skip
    assert bodies == [wanted, wanted]
    refused = shell.run("runs", "reject", "acme", RUN)
    assert refused.code == 2
    assert refused.err.startswith(f"mailtide: Run {RUN} of 'acme' was approved at ")


def test_a_retry_is_of_what_failed(shell: Shell, held: Plan, sqs: "SQSClient", s3: "S3Client") -> None:
    refused = shell.run("runs", "retry", held.org, RUN)
    assert (refused.code, refused.err) == (2, f"mailtide: Run {RUN} of 'acme' did not fail; it ended as held.\n")
    failed = Done(org="acme", run="a" * 20, status="failed", reason="It failed.", finished_at=THEN)
    s3.put_object(Bucket=BUCKET, Key=keys.done("acme", failed.run), Body=failed.to_bytes())
    assert shell.run("runs", "retry", "acme", failed.run, "--json").facts()["request_id"] == f"retry-{failed.run}"
    url = shell.environment["MAILTIDE_PLAN_QUEUE_URL"]
    (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    wanted = PlanMessage(org="acme", trigger="demand", request_id=f"retry-{failed.run}")
    assert MESSAGE.validate_json(message["Body"]) == wanted


def test_a_rejection_is_kept(shell: Shell, held: Plan, s3: "S3Client") -> None:
    assert shell.run("runs", "reject", "acme", RUN).out == f"Run {RUN} is rejected; nothing was published.\n"
    body = s3.get_object(Bucket=BUCKET, Key=keys.verdict("acme", held.run))["Body"].read()
    assert not Verdict.model_validate_json(body).approved
    refused = shell.run("runs", "approve", "acme", RUN)
    assert refused.code == 2
    assert "was rejected at" in refused.err


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        (OTHER, f"Run {OTHER} of 'acme' is not held; it ended as published."),
        ("0" * 20, f"The organisation 'acme' has no ended run {'0' * 20}."),
        ("../../x", "'../../x' is not the id of a run: 20 hexadecimal digits (mailtide runs list ORG shows them)."),
    ],
)
def test_what_is_no_held_run_is_refused(shell: Shell, held: Plan, run: str, sentence: str) -> None:
    assert held.org == "acme"
    done = shell.run("runs", "approve", "acme", run)
    assert (done.code, done.err) == (2, f"mailtide: {sentence}\n")


def test_a_replaced_database_is_not_approved(shell: Shell, held: Plan, s3: "S3Client") -> None:
    s3.put_object(Bucket=BUCKET, Key=keys.source(held.org), Body=b"another database")
    done = shell.run("runs", "approve", "acme", RUN)
    assert done.code == 2
    assert "was replaced after run" in done.err


def test_all_machines_of_a_run_are_shown(shell: Shell, s3: "S3Client") -> None:
    size = MachineSize(cpu_kind="performance", cpus=2, memory_mb=4096)
    uses = [
        MachineUse(
            task=task,
            attempt=attempt,
            launch=Launch(machine_id=f"m-{task}-{attempt}", machine_name="m", region=None, size=size, launched_at=THEN),
            seconds=12.5,
            usd=0.0003107,
        )
        for task, attempt in (("chunk-0001", 1), ("chunk-0001", 2), ("merge", 1))
    ]
    warned = "The candidates of chunk-0001 cannot be used, so the merge's machine did the whole pass itself."
    done = Done(
        org="acme",
        run=OTHER,
        status="published",
        report={"warnings": [warned]},
        machines=tuple(uses),
        tries=2,
        finished_at=THEN,
    )
    s3.put_object(Bucket=BUCKET, Key=keys.done("acme", OTHER), Body=done.to_bytes())
    shown = shell.run("runs", "show", "acme", OTHER, COLUMNS="200").out
    assert f"Warning: {warned}" in shown
    rows = [line for line in shown.splitlines() if "m-" in line]
    assert len(rows) == 3
    assert all("performance-2x, 4096 MB" in row and "12.5" in row and "0.000311" in row for row in rows)
