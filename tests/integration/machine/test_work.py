"""What a machine does with its task, in one process: the order of its writes, and how every failure is told."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest
from pydantic import TypeAdapter

from mailtide.contracts import Claim, Manifest
from mailtide.errors import MailtideError, TransientError
from mailtide.machine import transfer
from mailtide.machine.report import PassReport
from mailtide.machine.transfer import RefusedError
from mailtide.machine.work import Ended, work
from tests.integration.machine.fault_bucket import FaultBucket, Kind, md5
from tests.integration.machine.tasks import AS_OF, SOURCE, TRY, Task, database


@pytest.fixture(scope="module")
def contacts(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return database(tmp_path_factory.mktemp("invented"))


@pytest.fixture
def said() -> list[str]:
    return []


def carry_out(task: Task, said: list[str]) -> Ended:
    ended = work(task.url, machine_id="3d8d9930a1b489", say=said.append)
    assert task.is_discreet("\n".join([*said, ended.sentence]))
    return ended


def manifest_of(task: Task) -> Manifest:
    body = task.body("manifest.json")
    assert body is not None
    assert task.is_discreet(body.decode())
    return Manifest.model_validate_json(body)


def test_a_task_is_claimed_delivered_and_last_of_all_told(
    bucket: FaultBucket, contacts: bytes, said: list[str], tmp_path: Path
) -> None:
    task = Task(bucket, contacts)
    assert carry_out(task, said) == Ended(ok=True, sentence="Delivered.")
    assert task.written() == ["claim.json", "contacts.db", "manifest.json"]
    manifest = manifest_of(task)
    delivered = task.body("contacts.db")
    assert delivered is not None
    (part,) = manifest.delivered
    assert part.model_dump() == {
        "name": "contacts.db",
        "size_bytes": len(delivered),
        "sha256": hashlib.sha256(delivered).hexdigest(),
        "etag": md5(delivered),
        "previous_run": None,
    }
    claim = Claim.model_validate_json(task.body("claim.json") or b"")
    assert manifest.token == claim.token
    assert claim.machine_id == "3d8d9930a1b489"
    assert manifest.started_at <= manifest.finished_at <= datetime.now(UTC)
    report = TypeAdapter(PassReport).validate_python(manifest.report)
    assert (report.contacts, report.as_of, manifest.changed) == (400, AS_OF, True)
    (tmp_path / "delivered.db").write_bytes(delivered)
    rows = apsw.Connection(str(tmp_path / "delivered.db")).execute("SELECT count(*) FROM email_schedules").get
    assert rows == report.inserted > 0


def test_a_database_that_is_up_to_date_is_not_delivered_again(
    bucket: FaultBucket, contacts: bytes, said: list[str]
) -> None:
    first = Task(bucket, contacts)
    carry_out(first, said)
    scheduled = first.body("contacts.db")
    assert scheduled is not None
    for name in ("claim.json", "contacts.db", "manifest.json"):
        del bucket.objects[f"{TRY}/{name}"]
    bucket.seen.clear()
    second = Task(bucket, scheduled)
    assert carry_out(second, said) == Ended(ok=True, sentence="Nothing to change.")
    assert second.written() == ["claim.json", "manifest.json"]
    assert (manifest_of(second).changed, manifest_of(second).delivered) == (False, ())


def test_a_try_that_another_claimed_is_left_alone(bucket: FaultBucket, contacts: bytes, said: list[str]) -> None:
    task = Task(bucket, contacts)
    bucket.put(f"{TRY}/claim.json", Claim(machine_id="other", claimed_at=datetime.now(UTC)).to_bytes())
    assert carry_out(task, said) == Ended(ok=True, sentence="Another process works on this try.")
    assert task.written() == []
    assert bucket.of("GET", SOURCE) == []


@pytest.mark.parametrize("name", ["claim.json", "contacts.db", "manifest.json"])
def test_a_write_whose_answer_is_lost_stops_nothing(
    bucket: FaultBucket, contacts: bytes, said: list[str], name: str
) -> None:
    task = Task(bucket, contacts)
    bucket.fail("PUT", f"{TRY}/{name}", "lose_answer")
    assert carry_out(task, said).ok
    assert list(dict.fromkeys(task.written())) == ["claim.json", "contacts.db", "manifest.json"]
    assert task.body("error.json") is None
    assert manifest_of(task).changed


@pytest.mark.parametrize("name", [SOURCE, f"{TRY}/task.json"])
def test_a_bucket_that_is_out_of_order_for_a_moment_is_asked_again(
    bucket: FaultBucket, contacts: bytes, said: list[str], name: str
) -> None:
    task = Task(bucket, contacts)
    bucket.fail("GET", name, "status", status=503, times=transfer.ATTEMPTS - 1)
    assert carry_out(task, said).ok


NOT_A_DATABASE = b"first,last,email\n" * 100


@pytest.mark.parametrize(
    ("source", "rules_yaml", "word"),
    [
        (NOT_A_DATABASE, None, "SQLite"),
        (b"SQLite format 3\x00" + bytes(2000), None, "damaged"),
        (None, "send_tim: '09:00:00'", "send_tim"),
        (None, "send_time: [", "rules file"),
    ],
    ids=["no database", "zeros", "unknown key", "no YAML"],
)
def test_bad_input_is_told_in_one_sentence_and_nothing_is_delivered(
    bucket: FaultBucket, contacts: bytes, said: list[str], source: bytes | None, rules_yaml: str | None, word: str
) -> None:
    task = Task(bucket, source or contacts, rules_yaml=rules_yaml)
    ended = carry_out(task, said)
    error = task.error()
    assert not ended.ok
    assert error.failure.kind == "bad_input"
    assert word in error.failure.message
    assert error.failure.message.count("\n") == 0
    assert ended.sentence == error.failure.message
    assert task.written() == ["claim.json", "error.json"]


def test_a_truncated_database_is_bad_input(bucket: FaultBucket, contacts: bytes, said: list[str]) -> None:
    task = Task(bucket, contacts[: len(contacts) // 2])
    carry_out(task, said)
    assert task.error().failure.kind == "bad_input"
    assert "truncated" in task.error().failure.message


def test_a_page_of_garbage_is_bad_input(bucket: FaultBucket, contacts: bytes, said: list[str]) -> None:
    garbage = contacts[:8192] + b"\xa5" * 4096 + contacts[12288:]
    task = Task(bucket, garbage)
    carry_out(task, said)
    assert task.error().failure.kind == "bad_input"
    assert "damaged" in task.error().failure.message


@pytest.mark.parametrize("status", [412, 404])
def test_a_replaced_source_is_told_as_such(bucket: FaultBucket, contacts: bytes, said: list[str], status: int) -> None:
    task = Task(bucket, contacts)
    if status == 404:
        del bucket.objects[SOURCE]
    else:
        bucket.put(SOURCE, contacts + bytes(4096))
    assert not carry_out(task, said).ok
    assert task.error().failure.kind == "source_changed"
    assert task.error().failure.is_final


@pytest.mark.parametrize(
    ("method", "name", "kind", "status", "words"),
    [
        ("GET", SOURCE, "status", 403, "fetching the database: the bucket answered 403"),
        ("GET", SOURCE, "status", 500, "fetching the database: the bucket answered 500"),
        ("GET", SOURCE, "drop", 0, "fetching the database: RemoteProtocolError"),
        ("GET", SOURCE, "wrong_bytes", 0, "checksum"),
        ("PUT", f"{TRY}/contacts.db", "status", 403, "delivering the database: the bucket answered 403"),
        ("PUT", f"{TRY}/contacts.db", "status", 503, "delivering the database: the bucket answered 503"),
        ("PUT", f"{TRY}/contacts.db", "wrong_etag", 0, "did not arrive as it was sent"),
        ("PUT", f"{TRY}/manifest.json", "status", 403, "writing the manifest: the bucket answered 403"),
        ("PUT", f"{TRY}/manifest.json", "status", 500, "writing the manifest: the bucket answered 500"),
    ],
)
def test_every_other_failure_is_told_and_may_be_tried_again(
    bucket: FaultBucket,
    contacts: bytes,
    said: list[str],
    method: str,
    name: str,
    kind: Kind,
    status: int,
    words: str,
) -> None:
    task = Task(bucket, contacts)
    bucket.fail(method, name, kind, status=status, times=100)
    assert not carry_out(task, said).ok
    failure = task.error().failure
    assert (failure.kind, failure.is_final) == ("internal", False)
    assert failure.message.startswith("The machine failed: ")
    assert words in failure.message
    assert failure.message.endswith(".")
    assert not failure.message.endswith("..")
    assert task.body("manifest.json") is None
    assert task.written()[-1] == "error.json"


def test_want_of_memory_is_told_so_that_the_next_try_gets_more(bucket: FaultBucket, contacts: bytes) -> None:
    def say(line: str) -> None:
        if line.startswith("fetched"):
            bytearray(1 << 62)

    task = Task(bucket, contacts)
    assert not work(task.url, machine_id=None, say=say).ok
    assert task.error().failure.kind == "out_of_memory"
    assert not task.error().failure.is_final


def test_want_of_memory_within_sqlite_is_no_fault_of_the_database(
    bucket: FaultBucket, contacts: bytes, said: list[str]
) -> None:
    task = Task(bucket, contacts)
    standing = apsw.hard_heap_limit(1 << 18)
    try:
        assert not carry_out(task, said).ok
    finally:
        apsw.hard_heap_limit(standing)
    failure = task.error().failure
    assert (failure.kind, failure.is_final) == ("out_of_memory", False)


def test_an_error_that_stands_already_is_left_as_it_is(bucket: FaultBucket, said: list[str]) -> None:
    task = Task(bucket, NOT_A_DATABASE)
    bucket.put(f"{TRY}/error.json", b"the watcher's")
    assert not carry_out(task, said).ok
    assert task.body("error.json") == b"the watcher's"


def test_a_multipart_source_is_checked_by_its_parts(bucket: FaultBucket, contacts: bytes, said: list[str]) -> None:
    half = 4096 * (len(contacts) // 8192 + 1)
    digests = b"".join(bytes.fromhex(md5(part)) for part in (contacts[:half], contacts[half:]))
    task = Task(bucket, contacts, part_bytes=half, etag=f"{md5(digests)}-2")
    bucket.fail("GET", SOURCE, "wrong_bytes")
    assert carry_out(task, said).ok
    assert len(bucket.of("GET", SOURCE)) == 2


def test_a_task_that_is_not_there_or_not_readable_is_raised_without_its_url(
    bucket: FaultBucket, contacts: bytes, said: list[str]
) -> None:
    task = Task(bucket, contacts)
    bucket.put(f"{TRY}/task.json", (bucket.objects[f"{TRY}/task.json"].body).replace(b'"attempt"', b'"atempt"'))
    with pytest.raises(MailtideError) as unreadable:
        carry_out(task, said)
    del bucket.objects[f"{TRY}/task.json"]
    with pytest.raises(RefusedError) as missing:
        carry_out(task, said)
    assert task.is_discreet(f"{unreadable.value} {missing.value}")
    assert task.written() == []


def test_when_not_even_the_error_can_be_written_it_is_raised(bucket: FaultBucket, said: list[str]) -> None:
    task = Task(bucket, NOT_A_DATABASE)
    bucket.fail("PUT", f"{TRY}/error.json", "status", status=500, times=100)
    with pytest.raises(TransientError) as caught:
        carry_out(task, said)
    assert task.is_discreet(str(caught.value))
