"""Feedback on the machine: fetched, folded in before the pass, told in the manifest; never a reason to fail."""

import json
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import apsw
import pytest

from mailtide.contracts import FeedbackReport, Manifest
from mailtide.database.changeset_apply import apply_file
from mailtide.database.due import due_mails
from mailtide.machine import transfer
from mailtide.machine.schedule_pass import run_pass
from mailtide.machine.work import Ended, work
from mailtide.rules.config import load_rules
from tests.integration.machine.cut_run import CutRun, tables
from tests.integration.machine.fault_bucket import FaultBucket
from tests.integration.machine.tasks import AS_OF, Task, database

UNSUBSCRIBED = b'{"state":"unsubscribed","contact_id":1}\n'
EARLIER = "a" * 20
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


def test_feedback_alone_leaves_a_changeset_that_the_next_one_follows(
    bucket: FaultBucket, contacts: bytes, tmp_path: Path
) -> None:
    """Without it whoever applies changesets would miss the history of a day on which the plan stood still."""
    application, mail = with_one_sent(contacts, tmp_path / "application.db")
    source = application.read_bytes()
    line = json.dumps({"idempotency_key": mail, "state": "delivered", "at": "2026-11-21T15:00:00Z"}).encode()
    run = CutRun(bucket, source)
    run.feedback = {"a.jsonl": line}
    assert run.do("whole") == Ended(ok=True, sentence="Delivered.")
    manifest = run.manifest("whole")
    assert manifest.report["changed"] is False
    changeset = manifest.find("schedule.changeset")
    assert changeset is not None
    assert changeset.previous_run == EARLIER
    path = tmp_path / "day.changeset"
    path.write_bytes(run.body("whole", "schedule.changeset"))
    assert apply_file(path, application).kept == 0
    assert tables(application.read_bytes()) == tables(run.body("whole", "contacts.db"))


def with_one_sent(contacts: bytes, path: Path) -> tuple[Path, str]:
    """A schedule of which one mail was sent, at rest; and that mail's key."""
    path.write_bytes(contacts)
    run_pass(path, AS_OF, load_rules(), "0" * 20, datetime(2026, 11, 21, 10, 30, tzinfo=UTC))
    connection = apsw.Connection(str(path))
    day = connection.execute("SELECT min(scheduled_send_date) FROM email_schedules WHERE status = 'pre-scheduled'").get
    mail = next(iter(due_mails(path, date.fromisoformat(str(day)), Counter())))
    connection.execute(
        "UPDATE email_schedules SET status = 'sent' WHERE contact_id = ? AND email_type = ?",
        (mail.contact_id, mail.email_type),
    )
    connection.close()
    assert run_pass(path, AS_OF, load_rules(), EARLIER, datetime(2026, 11, 21, 10, 40, tzinfo=UTC)).changed
    return path, mail.idempotency_key


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
