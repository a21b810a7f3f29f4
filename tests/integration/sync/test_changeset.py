"""A pass's changeset: it makes of the database before what the pass made of it, to the cell; and history always wins."""

import datetime
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, get_args

import apsw
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailtide.database.changeset_apply import apply_file, read_note
from mailtide.database.changeset_merge import Applied
from mailtide.database.leave import Leave
from mailtide.errors import DatabaseError
from mailtide.machine.report import Profile
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from tests.integration.pass_.files import FileMaker
from tests.integration.pass_.rows import MEANING, execute, fingerprint, query
from tests.integration.sync.days import Day, assert_same, copy_of, live_through, run_name
from tests.property.rules.databases import databases, days_of_run, rules_texts

LATER = datetime.timedelta(days=9)


@given(st.data(), days_of_run, rules_texts(), st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.6]))
@settings(max_examples=10)
def test_a_changeset_makes_the_same_of_any_database(
    data: st.DataObject, day: datetime.date, text: str, seed: int, spoiling: float
) -> None:
    """First runs, older tables, every encoding, foreign columns; then a second run over the first."""
    drawn = data.draw(databases(day, contacts=10, rows=12))
    random = Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "organisation.db"
        FileMaker(path, random, spoiling).write(drawn)
        try:
            made = live_through(folder, path, day, load_rules(text), random.choice(["highperf", "reliable"]))
        except DatabaseError:
            return
        if made.changeset.exists():
            assert not apply_file(made.changeset, path).already
            assert_same(path, made.after)
            assert apsw.Connection(str(path)).pragma("integrity_check") == "ok"
        if day + LATER < datetime.date(2100, 1, 1):
            again = live_through(folder, made.after, day + LATER, load_rules(text))
            if again.changeset.exists():
                apply_file(again.changeset, path)
                assert_same(path, again.after)


def applied_plainly(changeset: Path, path: Path, reasons: Counter[int]) -> None:
    """By SQLite's own means, with the simplest rule an application could have: on a conflict leave it."""

    def leave(reason: int, _: apsw.TableChange) -> int:
        reasons[reason] += 1
        return apsw.SQLITE_CHANGESET_OMIT

    with apsw.Connection(str(path)) as connection, changeset.open("rb") as file:
        apsw.Changeset.apply(file.read, connection, conflict=leave)


def test_sqlites_own_function_applies_it_too(second: Day, tmp_path: Path) -> None:
    live = tmp_path / "live.db"
    live.write_bytes(second.before.read_bytes())
    reasons: Counter[int] = Counter()
    applied_plainly(second.changeset, live, reasons)
    assert not reasons
    assert_same(live, second.after)


def test_changes_of_more_pages_than_sqlite_puts_into_the_file_by_itself(first: Day, tmp_path: Path) -> None:
    """At a thousand pages, and the changeset compares with what the file held before."""
    small = copy_of(first.after, "small-pages.db")
    execute(small, "PRAGMA page_size = 512; VACUUM")
    rules = load_rules(f"templates: {{birthday: {{email: {'long' * 600}}}}}\n")
    made = live_through(tmp_path, small, datetime.date(2026, 11, 22), rules, "reliable")
    assert query(made.after, "PRAGMA page_count")[0][0] > query(small, "PRAGMA page_count")[0][0] + 1000
    apply_file(made.changeset, small)
    assert_same(small, made.after)


def test_a_pass_that_cannot_tell_its_changes_leaves_the_file_as_it_was(first: Day, tmp_path: Path) -> None:
    path = Path(shutil.copyfile(first.after, tmp_path / "contacts.db"))
    day, before = datetime.datetime(2026, 11, 22, 10, 30, tzinfo=datetime.UTC), fingerprint(path)
    for profile in get_args(Profile.__value__):
        with pytest.raises(FileNotFoundError):
            run_pass(path, day.date(), load_rules(), "run", day, 1, profile, leave=Leave(tmp_path / "gone" / "changes"))
        assert (fingerprint(path)[0], fingerprint(path)[2:]) == (before[0], before[2:])


def test_a_first_changeset_is_written_without_reading_a_row(first: Day, tmp_path: Path) -> None:
    live = tmp_path / "live.db"
    live.write_bytes(first.before.read_bytes())
    done = apply_file(first.changeset, live)
    rows = query(first.after, "SELECT count(*) FROM email_schedules")[0][0]
    assert (done.inserted, done.updated, done.deleted, done.kept) == (rows, 0, 0, 0)
    assert_same(live, first.after)
    assert [
        row[0] for row in query(live, "SELECT name FROM sqlite_schema WHERE name LIKE 'email_schedules_%' ORDER BY 1")
    ] == [
        "email_schedules_due",
        "email_schedules_planned_key",
    ]


def test_applied_twice_it_changes_nothing_more(second: Day, tmp_path: Path) -> None:
    live = tmp_path / "live.db"
    live.write_bytes(second.before.read_bytes())
    assert apply_file(second.changeset, live).already is False
    standing = fingerprint(live)
    again = apply_file(second.changeset, live)
    assert again == Applied(run_name(datetime.date(2026, 11, 22)), "2026-11-22", already=True)
    assert fingerprint(live) == standing


def test_a_wrong_base_is_named_and_nothing_is_written(first: Day, second: Day, tmp_path: Path) -> None:
    for wrong, why in ((first.before, "has no run"), (second.after, "stands after run")):
        live = tmp_path / f"{wrong.stem}-live.db"
        live.write_bytes(wrong.read_bytes())
        if wrong is second.after:
            execute(live, "UPDATE scheduler_runs SET run_id = 'local-1' WHERE as_of = '2026-11-22'")
        standing = fingerprint(live)
        with pytest.raises(
            DatabaseError, match=f"follows on run {run_name(datetime.date(2026, 11, 21))}, but .* {why}"
        ):
            apply_file(second.changeset, live)
        assert fingerprint(live) == standing


@pytest.mark.parametrize("cut", [10, 400, -1])
def test_a_damaged_changeset_writes_nothing(second: Day, tmp_path: Path, cut: int) -> None:
    live, damaged = tmp_path / "live.db", tmp_path / "damaged.changeset"
    live.write_bytes(second.before.read_bytes())
    damaged.write_bytes(second.changeset.read_bytes()[:cut])
    standing = fingerprint(live)
    with pytest.raises(DatabaseError, match="changeset"):
        apply_file(damaged, live)
    damaged.unlink()
    assert (fingerprint(live)[0], fingerprint(live)[2]) == (standing[0], standing[2])


def changed_ids(day: Day) -> tuple[list[int], list[int], list[int]]:
    """Ids of rows that the pass updated, of rows that are gone, and of rows that are new or other ones."""
    key = "id, contact_id, email_type, event_date, campaign_instance_id"
    before = {tuple(row[:5]): row for row in query(day.before, f"SELECT {key}, * FROM email_schedules")}
    after = {tuple(row[:5]): row for row in query(day.after, f"SELECT {key}, * FROM email_schedules")}
    updated = sorted(key[0] for key in before.keys() & after.keys() if before[key] != after[key])
    gone, new = (
        sorted(key[0] for key in one.keys() - other.keys()) for one, other in ((before, after), (after, before))
    )
    return updated, gone, new


def test_what_was_sent_meanwhile_stays_sent(second: Day, tmp_path: Path) -> None:
    live = tmp_path / "live.db"
    live.write_bytes(second.before.read_bytes())
    updated, gone, _ = changed_ids(second)
    assert updated
    assert gone
    sent = (updated[0], gone[0])
    execute(
        live,
        f"UPDATE email_schedules SET status = 'sent', actual_send_datetime = '2026-11-21T12:00:00Z' WHERE id IN {sent}",
    )
    history = query(live, f"SELECT * FROM email_schedules WHERE id IN {sent}")
    plain = copy_of(live, "plain.db")
    done = apply_file(second.changeset, live)
    assert query(live, f"SELECT * FROM email_schedules WHERE id IN {sent}") == history
    assert done.kept == 2
    rest = f"SELECT {MEANING} FROM email_schedules WHERE id NOT IN {sent} ORDER BY 1, 2, 3, 4"
    mine = {row for row in query(live, rest) if row not in history}
    assert mine >= {row for row in query(second.after, rest)}
    reasons: Counter[int] = Counter()
    applied_plainly(second.changeset, plain, reasons)
    assert query(plain, f"SELECT * FROM email_schedules WHERE id IN {sent}") == history
    assert reasons[apsw.SQLITE_CHANGESET_DATA] == 2


def test_a_mail_that_is_in_history_here_is_not_planned_again(second: Day, tmp_path: Path) -> None:
    """The application sent by itself what the run plans anew, in a row of its own: under an id that the run uses too."""
    live = tmp_path / "live.db"
    live.write_bytes(second.before.read_bytes())
    _, _, new = changed_ids(second)
    fresh = [number for number in new if not query(live, f"SELECT 1 FROM email_schedules WHERE id = {number}")]
    taken, same = fresh[0], fresh[1]
    row: tuple[Any, ...] = query(second.after, f"SELECT {MEANING} FROM email_schedules WHERE id = {same}")[0]
    marks = ", ".join("NULL" if value is None else repr(value) for value in row)
    marks = marks.replace("'pre-scheduled'", "'sent'").replace("'skipped'", "'sent'")
    execute(live, f"INSERT INTO email_schedules (id, {MEANING}) VALUES ({taken}, {marks})")
    done = apply_file(second.changeset, live)
    assert (done.moved, done.kept) == (1, 1)
    assert query(live, f"SELECT status FROM email_schedules WHERE id = {taken}") == [("sent",)]
    planned = f"SELECT {MEANING} FROM email_schedules WHERE status IN ('pre-scheduled', 'skipped') ORDER BY 1, 2, 3, 4"
    assert set(query(second.after, planned)) - set(query(live, planned)) == {row}
    assert len(query(live, planned)) == len(query(second.after, planned)) - 1


def test_planned_rows_that_were_changed_here_are_the_runs_again(second: Day, tmp_path: Path) -> None:
    live = tmp_path / "live.db"
    live.write_bytes(second.before.read_bytes())
    updated, gone, _ = changed_ids(second)
    execute(
        live,
        "UPDATE email_schedules SET scheduled_send_date = '2027-01-01', status = ' Skipped ' "
        f"WHERE id IN ({updated[0]}, {gone[0]})",
    )
    execute(live, f"DELETE FROM email_schedules WHERE id = {gone[1]}")
    done = apply_file(second.changeset, live)
    assert (done.replaced, done.gone, done.kept) == (2, 1, 0)
    assert_same(live, second.after)


def test_the_note_says_what_it_is(second: Day) -> None:
    note = read_note(second.changeset)
    days = (run_name(datetime.date(2026, 11, 22)), run_name(datetime.date(2026, 11, 21)), "2026-11-22")
    assert (note.run, note.previous_run, note.as_of) == days
    assert note.columns[:3] == ("id", "contact_id", "email_type")


def test_what_is_no_changeset_is_refused(second: Day, tmp_path: Path) -> None:
    for number, body in enumerate((b"", b"T", second.before.read_bytes(), b"x" * 5_000)):
        path = tmp_path / f"{number}.changeset"
        path.write_bytes(body)
        with pytest.raises(DatabaseError, match="is not a changeset of mailtide"):
            read_note(path)


def test_the_export_is_the_planned_rows(second: Day) -> None:
    table = pq.read_table(second.export)
    planned = [
        tuple(row)
        for row in query(
            second.after,
            "SELECT contact_id, email_type, event_date, scheduled_send_date, scheduled_send_time, status, skip_reason, "
            "priority, campaign_instance_id, email_template, sms_template FROM email_schedules "
            "WHERE status IN ('pre-scheduled', 'skipped')",
        )
    ]
    found = [
        tuple(str(value) if isinstance(value, datetime.date) else value for value in row.values())
        for row in table.to_pylist()
    ]
    assert sorted(found, key=repr) == sorted(planned, key=repr)
    assert [found[0] for found in found] == sorted(row[0] for row in found)


def test_a_day_that_changes_nothing_leaves_nothing(second: Day, tmp_path: Path) -> None:
    same = live_through(tmp_path, second.after, datetime.date(2026, 11, 22))
    assert not same.changeset.exists()
    assert not same.export.exists()
