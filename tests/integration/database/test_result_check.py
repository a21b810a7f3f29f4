"""What can be told of a result without downloading it: every true one passes, and garbage with a fitting manifest does not."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random

import apsw
import pytest

from mailtide.contracts import Likeness
from mailtide.database.estimate import inspect_and_compare
from mailtide.database.invented import invent_database
from mailtide.database.result_check import MAX_BYTES, MAX_REQUESTS, ExpectedResult, problem_of
from mailtide.machine.report import Profile
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from tests.integration.database.test_ranged import CountingReader

RULES = load_rules(None)
AS_OF = date(2026, 11, 21)
STARTED = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
RUN, LATER = "a" * 20, "b" * 20


def scheduled(path: Path, run_id: str = RUN, as_of: date = AS_OF, profile: Profile = "highperf") -> ExpectedResult:
    """Have a pass change the file, and say what is then expected of it."""
    likeness = inspect_and_compare(CountingReader(path.read_bytes()))[1]
    report = run_pass(path, as_of, RULES, run_id, STARTED, profile=profile)
    assert report.changed
    return ExpectedResult(run_id, as_of, report.plain(), likeness)


def problem(body: bytes, expected: ExpectedResult) -> str | None:
    reader = CountingReader(body)
    found = problem_of(reader, expected)
    assert len(reader.reads) <= MAX_REQUESTS
    assert sum(length for _, length in reader.reads) <= MAX_BYTES
    return found


def changed(path: Path, sql: str) -> bytes:
    """The file after some statements, where even the schema may be written."""
    with sqlite3.connect(path) as connection:
        connection.executescript(f"PRAGMA writable_schema = 1; {sql}")
    connection.close()
    return path.read_bytes()


SHAPES = {
    "plain": "",
    **{f"pages of {size}": f"PRAGMA page_size = {size}; VACUUM" for size in (512, 1024, 16384, 65536)},
    "full auto_vacuum": "PRAGMA auto_vacuum = 1; VACUUM",
    "incremental auto_vacuum": "PRAGMA auto_vacuum = 2; VACUUM; DELETE FROM contacts WHERE id % 3 = 0",
    "WAL": "PRAGMA journal_mode = WAL",
    "free pages": "CREATE TABLE filler AS SELECT zeroblob(90000) AS z; DROP TABLE filler",
    "nobody": "DELETE FROM contacts; CREATE TABLE email_schedules (id INTEGER PRIMARY KEY, contact_id INT, status TEXT);"
    "INSERT INTO email_schedules VALUES (5, 1, 'skipped')",
    "tables of others": "CREATE TABLE Notes (id INTEGER PRIMARY KEY, contact REFERENCES contacts (id), t TEXT DEFAULT 'ä');"
    "INSERT INTO notes SELECT id, id, hex(zeroblob(900)) FROM contacts; CREATE VIEW named AS SELECT email FROM contacts;"
    "CREATE INDEX by_mail ON contacts (email); CREATE TRIGGER seen AFTER INSERT ON notes BEGIN SELECT 1; END",
    "a wordy schema": ";".join(f"CREATE TABLE t{n} (a /* {'long ' * 12_000} */)" for n in range(30)),
    "an older schedule": "CREATE TABLE email_schedules (Id INTEGER PRIMARY KEY AUTOINCREMENT, contact_id TEXT, email_type INT, "
    "event_year INT, event_month INT, event_day INT, Status, scheduled_send_date REAL, UNIQUE (contact_id, email_type));"
    "INSERT INTO email_schedules VALUES (7, '1', 'birthday', 2020, 1, 2, 'sent', '2020-01-02'), "
    "(70, 'x', x'ff', 'y', 0, 0, 'pre-scheduled', 'never'), (900, '2', 'aep', 2024, 9, 15, 'cancelled', NULL)",
    "an id that is not the rowid": "CREATE TABLE email_schedules (id TEXT PRIMARY KEY, contact_id INT, status TEXT);"
    "INSERT INTO email_schedules VALUES ('9', 1, 'sent')",
    "the largest id": "CREATE TABLE email_schedules (id INTEGER PRIMARY KEY, contact_id INT, status TEXT);"
    "INSERT INTO email_schedules VALUES (9223372036854775806, 1, 'sent')",
    "runs of another shape": "CREATE TABLE scheduler_runs (run_id BLOB, as_of INT, contacts TEXT, eligible REAL, inserted, "
    "note TEXT DEFAULT 'n', number INTEGER PRIMARY KEY); INSERT INTO scheduler_runs (run_id, number) VALUES "
    "('old', 9223372036854775807)",
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16be"])
def test_a_true_result_passes_whatever_the_file_is_like(tmp_path: Path, shape: str, encoding: str) -> None:
    path = tmp_path / "a.db"
    with apsw.Connection(str(path)) as connection:
        connection.execute(f"PRAGMA encoding = '{encoding}'").fetchall()
        connection.execute(
            "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, state TEXT, birth_date TEXT, memo TEXT)"
        )
        connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) INSERT INTO contacts "
            "SELECT i, 'p' || i || '@example.com', 'TX', date('1950-01-01', i || ' days'), "
            "hex(zeroblob(i % 7 * 300)) FROM n"
        )
    connection.close()
    with sqlite3.connect(path, isolation_level=None) as plain:
        plain.executescript(SHAPES[shape])
    plain.close()
    runs: tuple[tuple[str, date, Profile], ...] = (
        (RUN, AS_OF, "highperf"),
        (LATER, date(2027, 3, 1), "reliable"),
    )
    # Without contacts only the first run finds something to write.
    for run_id, as_of, profile in runs[: 1 if shape == "nobody" else None]:
        expected = scheduled(path, run_id, as_of, profile)
        assert problem(path.read_bytes(), expected) is None


def test_what_stands_behind_the_last_page_may_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    invent_database(path, 60, seed=3, bad_fraction=0.1)
    path.write_bytes(path.read_bytes() + bytes(500_000))
    for run_id, as_of in ((RUN, AS_OF), (LATER, date(2027, 3, 1))):
        expected = scheduled(path, run_id, as_of)
        assert problem(path.read_bytes(), expected) is None


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ExpectedResult, bytes]:
    """A first schedule of a few pages, what is expected of it, and its source."""
    path = tmp_path_factory.mktemp("result") / "a.db"
    invent_database(path, 400, seed=3, bad_fraction=0.1)
    source = path.read_bytes()
    expected = scheduled(path)
    return path.read_bytes(), expected, source


@pytest.fixture
def path(result: tuple[bytes, ExpectedResult, bytes], tmp_path: Path) -> Path:
    (tmp_path / "b.db").write_bytes(result[0])
    return tmp_path / "b.db"


CHANGES = {
    "CREATE TABLE more (a)": "its database has other tables than the organisation's",
    "DROP TABLE email_schedules": "its database lacks the tables or the indexes of a schedule",
    "DROP INDEX email_schedules_due": "its database lacks the tables or the indexes of a schedule",
    "DELETE FROM scheduler_runs": "its database holds no record of the run",
    "UPDATE scheduler_runs SET run_id = 'c'": "its database holds no record of the run",
    "UPDATE scheduler_runs SET as_of = '2026-11-20'": "the record of the run in its database is not what its manifest says",
    "UPDATE scheduler_runs SET contacts = 399": "the record of the run in its database is not what its manifest says",
    "UPDATE scheduler_runs SET inserted = NULL": "its database holds no record of the run",
    "DELETE FROM email_schedules WHERE id > 20": "its schedule has fewer rows than its manifest says",
    "UPDATE email_schedules SET scheduled_send_date = '2026-11-20' WHERE id = 1": "its schedule holds rows that no run plans",
    "UPDATE email_schedules SET email_type = 'nonsense' WHERE id = 2": "its schedule holds rows that no run plans",
    "UPDATE email_schedules SET event_date = '2026-11-31' WHERE id = 3": "its schedule holds rows that no run plans",
    "UPDATE email_schedules SET scheduler_run_id = 'c'": "its schedule does not end with the rows of the run",
    "UPDATE contacts SET email = email || 'x'": "its database has other contacts than the organisation's",
    "DELETE FROM contacts": "its database has other contacts than the organisation's",
    "PRAGMA page_size = 8192; VACUUM": "its database has another page size, encoding or journal mode than the organisation's",
    "PRAGMA journal_mode = WAL": "its database has another page size, encoding or journal mode than the organisation's",
}


@pytest.mark.parametrize("sql", CHANGES)
def test_another_database_is_told(result: tuple[bytes, ExpectedResult, bytes], path: Path, sql: str) -> None:
    assert problem(changed(path, sql), result[1]) == CHANGES[sql]


def test_an_index_of_other_rows_is_told(result: tuple[bytes, ExpectedResult, bytes], path: Path) -> None:
    body = changed(
        path,
        "CREATE TABLE o (status, scheduled_send_date); CREATE INDEX i ON o (status, scheduled_send_date);"
        "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'i') "
        "WHERE name = 'email_schedules_due'; DELETE FROM sqlite_schema WHERE name IN ('o', 'i')",
    )
    assert problem(body, result[1]) == "the indexes of its schedule do not lead to its rows"


GARBAGE: dict[str, tuple[Callable[[bytes, bytes], bytes], str]] = {
    "noise": (lambda body, _: Random(1).randbytes(len(body)), "the file is not an SQLite database (or it is encrypted)"),
    "zeros": (lambda body, _: bytes(len(body)), "the file is not an SQLite database (or it is encrypted)"),
    "half": (lambda body, _: body[: len(body) // 2], "the database is truncated: its header counts"),
    "page size": (lambda body, _: body[:16] + b"\x03\xe8" + body[18:], "the database header is damaged: it gives a page size"),
    "encoding": (lambda body, _: body[:56] + b"\0\0\0\x07" + body[60:], "the database header is damaged: it gives 7"),
    "schema": (lambda body, _: body[:100] + bytes(3_996) + body[4_096:], "the database is damaged"),
}  # fmt: skip


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_told(result: tuple[bytes, ExpectedResult, bytes], kind: str) -> None:
    make, phrase = GARBAGE[kind]
    found = problem(make(result[0], result[2]), result[1])
    assert found is not None
    assert found.startswith(f"its database cannot be used: {phrase}")


def test_more_than_the_header_counts_is_told(result: tuple[bytes, ExpectedResult, bytes]) -> None:
    assert problem(result[0] + bytes(4_096), result[1]) == "its database is longer than its header says"


def test_the_source_or_another_run_is_no_result(result: tuple[bytes, ExpectedResult, bytes]) -> None:
    body, expected, source = result
    assert problem(source, expected) == "its database lacks the tables or the indexes of a schedule"
    assert problem(body, replace(expected, run_id=LATER)) == "its report is of another run or day"
    assert problem(body, replace(expected, as_of=date(2026, 11, 20))) == "its report is of another run or day"
    other = replace(expected, run_id=LATER, report={**expected.report, "run_id": LATER})
    assert problem(body, other) == "its database holds no record of the run"


def test_a_plan_of_before_is_checked_as_far_as_it_goes(result: tuple[bytes, ExpectedResult, bytes]) -> None:
    body, expected, source = result
    old = replace(expected, likeness=None)
    assert problem(body, old) is None
    assert problem(source, old) is not None


def test_flipped_bytes_end_in_a_phrase_or_in_nothing(result: tuple[bytes, ExpectedResult, bytes]) -> None:
    """No damage makes it read without end, or break; what it reads is mostly told."""
    body, expected, _ = result
    random, told = Random(7), 0
    for _ in range(150):
        damaged = bytearray(body)
        for at in random.sample(range(4_096), 3):
            damaged[at] = random.randrange(256)
        page = random.randrange(1, len(body) // 4_096) * 4_096
        damaged[page : page + 12] = random.randbytes(12)
        told += problem(bytes(damaged), expected) is not None
    assert told > 100


def test_a_tree_in_circles_ends(result: tuple[bytes, ExpectedResult, bytes], path: Path) -> None:
    with sqlite3.connect(path) as connection:
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_schema").fetchall())
    connection.close()
    for name in ("email_schedules", "scheduler_runs", "email_schedules_due"):
        body = bytearray(result[0])
        at = (roots[name] - 1) * 4_096
        kind = 2 if name.endswith("due") else 5
        body[at : at + 12] = bytes([kind, 0, 0, 0, 0, 0, 0, 0]) + roots[name].to_bytes(4, "big")
        found = problem(bytes(body), expected=result[1])
        assert found is not None
        assert "\n" not in found


def test_a_likeness_is_kept_in_the_plan_as_json(result: tuple[bytes, ExpectedResult, bytes]) -> None:
    likeness = result[1].likeness
    assert likeness is not None
    assert Likeness.model_validate_json(likeness.model_dump_json()) == likeness
    assert len({told.page for told in likeness.contact_pages}) == 3
