"""Chunk machines and the merge machine against a bucket: the same schedule as one machine makes, or one clear failure."""

from pathlib import Path

import apsw
import pytest
from pydantic import TypeAdapter

from mailtide.contracts import PartInput
from mailtide.machine.chunks.report import ChunkReport
from mailtide.machine.report import PassReport
from mailtide.machine.work import Ended
from tests.integration.machine.cut_run import CutRun
from tests.integration.machine.fault_bucket import FaultBucket, Kind, running_bucket
from tests.integration.machine.tasks import SOURCE, database
from tests.support.chunks import even_borders
from tests.support.spoiled_parts import SPOILED, with_header, with_raw, without_blocks

CONTACTS = 2_000
FEW = 300
RULES = "daily_cap_fraction: 0.01\n"
DELIVERED = Ended(ok=True, sentence="Delivered.")


@pytest.fixture(scope="module")
def contacts(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return database(tmp_path_factory.mktemp("invented"), CONTACTS)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return database(tmp_path_factory.mktemp("few"), FEW)


@pytest.fixture(scope="module")
def parts(few: bytes) -> dict[str, bytes]:
    """What the chunks of `few` deliver."""
    with running_bucket() as bucket:
        run = of_few(bucket, few)
        run.do_chunks()
        return {task: run.body(task, "candidates.bin") for task in run.chunks}


def of_few(bucket: FaultBucket, few: bytes, parts: dict[str, bytes] | None = None) -> CutRun:
    """A run of three chunks, with what they delivered."""
    run = CutRun(bucket, few, even_borders(range(1, FEW + 1), 3))
    for task, body in (parts or {}).items():
        bucket.put(f"{run.prefix(task)}/candidates.bin", body)
    return run


def test_any_number_of_chunks_makes_the_schedule_of_one_machine(bucket: FaultBucket, contacts: bytes) -> None:
    alone = CutRun(bucket, contacts, rules_yaml=RULES)
    assert alone.do("whole", threads=2) == DELIVERED
    for chunks in (1, 3, 8):
        run = CutRun(bucket, contacts, even_borders(range(1, CONTACTS + 1), chunks), RULES)
        run.do_chunks()
        assert run.do("merge", threads=2) == DELIVERED
        assert run.outcome("merge") == alone.outcome("whole"), chunks
        for task in (*run.chunks, "merge"):
            run.forget(task)


def test_a_chunk_reads_its_part_of_the_file_and_says_so(bucket: FaultBucket, contacts: bytes) -> None:
    run = CutRun(bucket, contacts, even_borders(range(1, CONTACTS + 1), 8))
    assert run.do("chunk", 4) == DELIVERED
    manifest = run.manifest("chunk-0004")
    report = ChunkReport.model_validate(manifest.report)
    asked = bucket.of("GET", SOURCE)
    assert (report.source_requests, report.source_bytes_read) == (len(asked), sum(seen.sent_bytes for seen in asked))
    assert all(seen.status == 206 for seen in asked)
    assert report.source_bytes == len(contacts)
    # The least that is fetched at once counts for much in so small a file.
    assert report.source_bytes_read < 0.6 * len(contacts)
    assert (report.first_id, report.last_id, report.contacts) == (1002, 1251, 250)
    assert [part.name for part in manifest.delivered] == ["candidates.bin"]
    assert report.delivered_bytes == len(run.body("chunk-0004", "candidates.bin")) < 1_000 + 10 * report.contacts


def with_history(schedule: bytes, folder: Path) -> bytes:
    """Some days later: mails were sent, cancelled, clicked and moved by hand."""
    path = folder / "later.db"
    path.write_bytes(schedule)
    connection = apsw.Connection(str(path))
    connection.execute(
        "UPDATE email_schedules SET status = 'sent' WHERE id % 3 = 0;"
        "UPDATE email_schedules SET status = 'sent', scheduled_send_date = date('2026-11-15') WHERE id % 37 = 0;"
        "UPDATE email_schedules SET status = 'cancelled' WHERE id % 7 = 0;"
        "UPDATE email_schedules SET scheduled_send_date = date(scheduled_send_date, '+3 days') WHERE id % 11 = 0;"
        "DELETE FROM email_schedules WHERE id % 13 = 0;"
        "CREATE TABLE campaign_types (name, days_before_event, target_all_contacts);"
        "CREATE TABLE campaign_instances (id, campaign_type, instance_name, active_start_date, active_end_date);"
        "CREATE TABLE contact_campaigns (contact_id, campaign_instance_id, trigger_date) ;"
        "INSERT INTO campaign_types VALUES ('rate', 5, 0), ('news', 0, 1);"
        "INSERT INTO campaign_instances VALUES (4, 'rate', 'x', NULL, '2027-02-01'), (9, 'news', 'y', '2026-11-20', NULL);"
        "INSERT INTO contact_campaigns SELECT id, 4, date('2026-11-01', (id % 60) || ' days') FROM contacts WHERE id % 2;"
        "INSERT INTO contact_campaigns SELECT id, 4, 'someday' FROM contacts WHERE id % 50 = 0;"
        "CREATE TABLE tracking_clicks (contact_id, clicked_at);"
        "INSERT INTO tracking_clicks SELECT id, '2026-11-18' FROM contacts WHERE id % 4 = 0"
    )
    connection.close()
    return path.read_bytes()


def test_history_campaigns_and_follow_ups(bucket: FaultBucket, contacts: bytes, tmp_path: Path) -> None:
    first = CutRun(bucket, contacts)
    first.do("whole")
    later = with_history(first.body("whole", "contacts.db"), tmp_path)
    first.forget("whole")
    run = CutRun(bucket, later, even_borders(range(1, CONTACTS + 1), 3), RULES)
    run.do_chunks()
    assert run.do("merge") == run.do("whole") == DELIVERED
    assert run.outcome("merge") == run.outcome("whole")
    report = TypeAdapter(PassReport).validate_python(run.manifest("merge").report)
    assert min(report.inserted, report.updated, report.deleted, report.unchanged) > 0
    assert {"followup_2_clicked_no_hq", "campaign_rate", "campaign_news", "post_window"} <= report.rows.keys()
    assert report.notes["invalid_contact_campaigns_trigger_date"] == CONTACTS // 50

    done = CutRun(bucket, run.body("merge", "contacts.db"), [700, 1500], RULES)
    for task in (*run.chunks, "merge"):
        run.forget(task)
    done.do_chunks()
    assert done.do("merge") == Ended(ok=True, sentence="Nothing to change.")


def merged_without_parts(run: CutRun, inputs: tuple[PartInput, ...] | None = None) -> str:
    """Merge; the schedule is that of one machine, and the report's one warning more is returned."""
    assert run.do("merge", inputs=inputs) == run.do("whole") == DELIVERED
    (report, rows), (alone, expected) = run.outcome("merge"), run.outcome("whole")
    assert rows == expected
    *usual, warning = report.pop("warnings")
    assert usual == alone.pop("warnings")
    assert report == alone
    beginning, _, end = warning.partition(", so ")
    assert end == "the merge's machine did the whole pass itself."
    return str(beginning)


@pytest.mark.parametrize("spoiled", ["garbage", "cut", "run"])
def test_a_merge_does_without_a_part_that_cannot_be_used(
    bucket: FaultBucket, few: bytes, parts: dict[str, bytes], spoiled: str
) -> None:
    change, sentence = SPOILED[spoiled]
    run = of_few(bucket, few, parts | {"chunk-0001": change(parts["chunk-0001"])})
    assert merged_without_parts(run).startswith(f"The candidates of chunk-0001 cannot be used: {sentence}")


def test_proposals_that_cannot_be_used_are_found_before_anything_is_written(
    bucket: FaultBucket, few: bytes, parts: dict[str, bytes]
) -> None:
    """Contacts and lengths are right, so only deciding reads that far."""
    run = of_few(bucket, few, parts | {"chunk-0001": with_raw(parts["chunk-0001"], lambda raw: raw[:-8])})
    assert merged_without_parts(run) == "The candidates of chunk-0001 cannot be used: it ends too early"


@pytest.mark.parametrize("gone", [False, True])
def test_a_merge_does_without_a_part_that_its_manifest_does_not_describe(
    bucket: FaultBucket, few: bytes, parts: dict[str, bytes], gone: bool
) -> None:
    run = of_few(bucket, few, parts)
    inputs = run.inputs()
    if gone:
        run.forget("chunk-0002")
    else:
        bucket.put(f"{run.prefix('chunk-0002')}/candidates.bin", parts["chunk-0002"] + b"\0")
    expected = "The candidates of chunk-0002 cannot be used: they are not what their manifest says"
    assert merged_without_parts(run, inputs) == expected


@pytest.mark.parametrize("kept", [[1, 2], [0, 1], [0, 2], [1, 0, 2], []])
def test_a_merge_does_without_parts_that_do_not_hold_every_contact(
    bucket: FaultBucket, few: bytes, parts: dict[str, bytes], kept: list[int]
) -> None:
    run = of_few(bucket, few, parts)
    inputs = run.inputs()
    assert merged_without_parts(run, tuple(inputs[index] for index in kept))


def test_a_merge_does_without_parts_of_fewer_contacts_than_the_database_has(bucket: FaultBucket, few: bytes) -> None:
    run = CutRun(bucket, few)
    run.do_chunks()
    short = with_header(
        run.body("chunk-0000", "candidates.bin"), rows=0, contacts=0, eligible=0, skipped_contacts={}, blocks=[]
    )
    bucket.put(f"{run.prefix('chunk-0000')}/candidates.bin", without_blocks(short))
    assert merged_without_parts(run) == "The chunks hold 0 rows of contacts, and the database 300"


def test_a_source_that_was_replaced_is_told_by_chunk_and_merge(
    bucket: FaultBucket, few: bytes, parts: dict[str, bytes]
) -> None:
    run = of_few(bucket, few, parts)
    bucket.put(SOURCE, few[:-1] + b"\0")
    assert not run.do("chunk", 0).ok
    assert run.failure("chunk-0000")[0] == "source_changed"
    assert not run.do("merge").ok
    assert run.failure("merge")[0] == "source_changed"


@pytest.mark.parametrize(
    ("line", "step"),
    [
        (b'{"state":"unsubscribed","contact_id":123}\n', "decide"),
        (b'{"state":"clicked","contact_id":123,"at":"2026-11-20"}\n', "settle"),
    ],
)
def test_feedback_that_suppresses_an_address_makes_the_merge_read_all_contacts(
    bucket: FaultBucket, few: bytes, parts: dict[str, bytes], line: bytes, step: str
) -> None:
    run = of_few(bucket, few, parts)
    run.feedback = {"a.jsonl": line}
    assert run.do("merge") == run.do("whole") == DELIVERED
    assert run.outcome("merge") == run.outcome("whole")
    seconds = run.manifest("merge").report["seconds"]
    assert isinstance(seconds, dict)
    assert step in seconds


@pytest.mark.parametrize(
    ("kind", "status", "at"),
    [("drop", 500, 1000), ("status", 503, 0), ("status", 500, 0), ("wrong_range", 200, 0), ("ignore_range", 200, 0)],
)
def test_a_line_that_fails_for_a_moment_is_resumed(
    bucket: FaultBucket, few: bytes, kind: Kind, status: int, at: int
) -> None:
    run = of_few(bucket, few)
    bucket.fail("GET", SOURCE, kind, status=status, at=at)
    run.do_chunks()
    assert run.do("merge") == run.do("whole") == DELIVERED
    assert run.outcome("merge") == run.outcome("whole")


def test_a_line_that_stays_broken_is_told(bucket: FaultBucket, few: bytes) -> None:
    run = of_few(bucket, few)
    bucket.fail("GET", SOURCE, "status", times=100, status=503)
    assert not run.do("chunk", 1).ok
    assert run.failure("chunk-0001") == (
        "internal",
        "The machine failed: fetching the database: the bucket answered 503.",
    )


def test_a_database_that_cannot_be_used_is_told_by_the_chunk(bucket: FaultBucket) -> None:
    run = CutRun(bucket, b"no database at all" * 100, [5])
    assert not run.do("chunk", 0).ok
    assert run.failure("chunk-0000")[0] == "bad_input"
