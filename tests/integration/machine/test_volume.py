"""A database that asks for more mails than there is room for, on the machine: refused before any is made."""

from pathlib import Path

import apsw
import pytest

from mailtide.contracts import MAX_PUT_BYTES, TaskDocument
from mailtide.errors import DatabaseError
from mailtide.machine.delivery import deliver
from mailtide.machine.transfer import make_client
from mailtide.machine.work import work
from tests.integration.machine.fault_bucket import FaultBucket
from tests.integration.machine.tasks import TRY, Task, database


@pytest.fixture(scope="module")
def greedy(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """300 contacts, 20,000 campaigns for everybody: 6 million mails."""
    folder = tmp_path_factory.mktemp("greedy")
    path = folder / "greedy.db"
    path.write_bytes(database(folder, 300))
    connection = apsw.Connection(str(path))
    connection.execute(
        "CREATE TABLE campaign_types (name, target_all_contacts);"
        "CREATE TABLE campaign_instances (id, campaign_type, instance_name, active_start_date, active_end_date);"
        "INSERT INTO campaign_types VALUES ('news', 1);"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
        "INSERT INTO campaign_instances SELECT i, 'news', 'x', '2026-11-21', NULL FROM n"
    )
    connection.close()
    return path.read_bytes()


def test_too_many_mails_are_bad_input(bucket: FaultBucket, greedy: bytes) -> None:
    task = Task(bucket, greedy)
    document = TaskDocument.model_validate_json(task.body("task.json") or b"")
    limited = document.model_copy(update={"max_mails_per_contact": 100})
    bucket.put(f"{TRY}/task.json", limited.to_bytes())
    assert not work(task.url, machine_id=None, say=lambda _: None).ok
    failure = task.error().failure
    assert failure.kind == "bad_input"
    assert failure.message.startswith("The campaigns and rules ask for up to ")
    assert failure.message.endswith(" contacts; 100 a contact are allowed (MAILTIDE_MAX_MAILS_PER_CONTACT).")
    assert task.body("contacts.db") is None


def test_a_database_that_no_put_can_hold_is_refused_before_it_is_read(bucket: FaultBucket, tmp_path: Path) -> None:
    document = TaskDocument.model_validate_json(Task(bucket, b"").body("task.json") or b"")
    path = tmp_path / "contacts.db"
    with path.open("wb") as file:
        file.truncate(MAX_PUT_BYTES + 1)
    with (
        make_client() as client,
        pytest.raises(DatabaseError, match=r"^What the pass made \(contacts\.db\) has 5\.4 GB; "),
    ):
        deliver(client, document, "contacts.db", path)
    assert f"{TRY}/contacts.db" not in bucket.objects
