"""Feedback on the machine: fetched, folded in before the pass, told in the manifest; never a reason to fail."""

from pathlib import Path

import apsw
import pytest

from mailtide.contracts import FeedbackReport, Manifest
from mailtide.machine import transfer
from mailtide.machine.work import Ended, work
from tests.integration.machine.fault_bucket import FaultBucket
from tests.integration.machine.tasks import Task, database

UNSUBSCRIBED = b'{"state":"unsubscribed","contact_id":1}\n'
FOLDER = "orgs/acme/feedback"


@pytest.fixture(scope="module")
def contacts(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return database(tmp_path_factory.mktemp("invented"), 50)


def carried_out(task: Task) -> tuple[Manifest, FeedbackReport]:
    assert work(task.url, machine_id=None, say=lambda _: None) == Ended(ok=True, sentence="Delivered.")
    body = task.body("manifest.json") or b""
    assert task.is_discreet(body.decode())
    manifest = Manifest.model_validate_json(body)
    return manifest, FeedbackReport.model_validate(manifest.report["feedback"])


def test_what_was_dropped_is_in_the_database_that_is_delivered(
    bucket: FaultBucket, contacts: bytes, tmp_path: Path
) -> None:
    task = Task(bucket, contacts, feedback={"a.jsonl": UNSUBSCRIBED, "b.csv": b"", "c.jsonl": b"{}\n"})
    manifest, told = carried_out(task)
    assert [(file.name, file.applied, file.refused) for file in told.files] == [
        ("a.jsonl", 1, 0), ("b.csv", 0, 0), ("c.jsonl", 0, 1)
    ]  # fmt: skip
    assert len(told.problems) == 2
    path = tmp_path / "delivered.db"
    path.write_bytes(task.body("contacts.db") or b"")
    connection = apsw.Connection(str(path))
    wanted = "SELECT count(*) FROM suppressions s JOIN contacts c ON s.email = lower(trim(c.email)) WHERE c.id = 1"
    assert connection.execute(wanted).get == 1
    assert connection.execute("SELECT count(*) FROM email_schedules WHERE contact_id = 1").get == 0
    connection.close()
    assert manifest.report["skipped_contacts"]["suppressed"] >= 1  # type: ignore[index]  # a report of JSON


def test_feedback_alone_is_worth_delivering(bucket: FaultBucket, contacts: bytes) -> None:
    first = Task(bucket, contacts)
    work(first.url, machine_id=None, say=lambda _: None)
    scheduled = first.body("contacts.db")
    assert scheduled is not None
    bucket.objects.clear()
    task = Task(bucket, scheduled, feedback={"a.jsonl": b'{"state":"unsubscribed","email":"stranger@example.org"}'})
    manifest, _ = carried_out(task)
    assert (manifest.report["changed"], manifest.changed) == (False, True)
    assert task.written()[-2:] == ["contacts.db", "manifest.json"]


def test_files_that_changed_or_went_are_left_for_the_next_run(bucket: FaultBucket, contacts: bytes) -> None:
    task = Task(bucket, contacts, feedback={"a.jsonl": UNSUBSCRIBED, "b.jsonl": b"{}\n", "c.jsonl": b"[]\n"})
    bucket.put(f"{FOLDER}/b.jsonl", b"something else")
    del bucket.objects[f"{FOLDER}/c.jsonl"]
    _, told = carried_out(task)
    assert ([file.name for file in told.files], told.left) == (["a.jsonl"], ("b.jsonl", "c.jsonl"))


def test_a_bucket_that_is_slow_to_give_it_is_asked_again(bucket: FaultBucket, contacts: bytes) -> None:
    task = Task(bucket, contacts, feedback={"a.jsonl": UNSUBSCRIBED})
    bucket.fail("GET", f"{FOLDER}/a.jsonl", "status", status=503, times=transfer.ATTEMPTS - 1)
    _, told = carried_out(task)
    assert told.files[0].applied == 1
