"""Files that are not what they should be: one clear sentence, and the file exactly as it was."""

import random
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import apsw
import pytest

from mailtide.database.estimate import inspect_database
from mailtide.database.local_reader import LocalReader
from mailtide.errors import BudgetExceededError, DatabaseError
from mailtide.machine.report import Profile
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from tests.integration.pass_.rows import execute, fingerprint, query

RULES = load_rules()
STARTED = datetime(2026, 11, 21, tzinfo=UTC)
CONTACTS = "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, state TEXT, birth_date TEXT);"
SCHEDULES = (
    "CREATE TABLE email_schedules (id INTEGER PRIMARY KEY, contact_id, email_type, event_date, scheduled_send_date, "
    "scheduled_send_time, status, skip_reason, priority, campaign_instance_id, email_template, sms_template, {})"
)


def run(path: Path) -> None:
    run_pass(path, date(2026, 11, 21), RULES, "run-1", STARTED, 2)


def inspect(path: Path) -> None:
    with LocalReader(path) as reader:
        inspect_database(reader)


def outcome(use: Callable[[Path], None], path: Path) -> str | None:
    """The sentence with which a file is refused, None when it is not."""
    try:
        use(path)
    except (DatabaseError, BudgetExceededError) as error:
        sentence = str(error)
    else:
        return None
    assert "\n" not in sentence
    return sentence


def assert_refused(path: Path, sentence: str, *, at_planning: bool = True) -> None:
    """Planning and the pass refuse it alike, in one line, and nothing changes."""
    before = fingerprint(path)
    for use in (inspect, run) if at_planning else (run,):
        with pytest.raises(DatabaseError, match=sentence) as caught:
            use(path)
        assert "\n" not in str(caught.value)
        assert str(caught.value).endswith(".")
        assert len(str(caught.value)) < 400
    assert fingerprint(path) == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "empty"),
        (b"id,email\n1,a@b.c\n" * 500, "not an SQLite database"),
        (random.Random(1).randbytes(8192), "not an SQLite database"),
        (b"SQLite format 3\x00", "truncated"),
        (b"SQLite format 3\x00" + bytes(8176), "page size of 0"),
        (b"\0" * 4096, "not an SQLite database"),
    ],
)
def test_no_database(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(content)
    assert_refused(path, sentence)


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.db", tmp_path):
        for use in (inspect, run):
            with pytest.raises(DatabaseError, match=r"There is no file|is not a file"):
                use(path)


def test_a_truncated_file(database: Path) -> None:
    content = database.read_bytes()
    for size in (100, 512, 4096, len(content) // 2, len(content) - 1):
        database.write_bytes(content[:size])
        assert_refused(database, "truncated|not an SQLite|damaged")


@pytest.mark.parametrize("filling", ["zeros", "noise"])
def test_a_page_of_garbage(database: Path, filling: str) -> None:
    content = database.read_bytes()
    refused = 0
    pages = len(content) // 4096
    for page in range(pages):
        garbage = bytes(4096) if filling == "zeros" else random.Random(page).randbytes(4096)
        database.write_bytes(content[: page * 4096] + garbage + content[(page + 1) * 4096 :])
        before = fingerprint(database)
        sentence = outcome(run, database)
        refused += sentence is not None
        assert sentence is None or (fingerprint(database) == before and "***" not in sentence)
    assert refused == pages


def test_flipped_bits_never_do_worse_than_a_sentence(database: Path) -> None:
    content = database.read_bytes()
    chance = random.Random(7)
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(chance.choice([1, 1, 8])):
            at = chance.choice([chance.randrange(100), chance.randrange(4096), chance.randrange(len(content))])
            damaged[at] ^= 1 << chance.randrange(8)
        database.write_bytes(bytes(damaged))
        before = fingerprint(database)
        outcome(inspect, database)
        assert outcome(run, database) is None or fingerprint(database) == before


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        ("CREATE TABLE people (id)", "no table contacts"),
        ("CREATE TABLE contacts (id, mail, state)", "contacts has no column email"),
        ("CREATE TABLE contacts (email, state)", "contacts has no column id"),
        ("CREATE TABLE contacts (id, email)", "neither a column zip_code nor a column state"),
        ("CREATE TABLE p (id, email, state); CREATE VIEW contacts AS SELECT * FROM p", "contacts is a view"),
        ("CREATE VIRTUAL TABLE contacts USING fts5(id, email, state)", "contacts is a virtual table"),
        ("CREATE TABLE contacts (id PRIMARY KEY, email, state) WITHOUT ROWID", "contacts is a WITHOUT ROWID table"),
        (CONTACTS + "CREATE VIEW email_schedules AS SELECT 1 AS id", "email_schedules is a view"),
        (CONTACTS + "CREATE VIEW scheduler_runs AS SELECT 1 AS id", "scheduler_runs is a view"),
        (CONTACTS + "CREATE VIRTUAL TABLE suppressions USING fts5(email)", "suppressions is a virtual table"),
        (CONTACTS + "CREATE TABLE suppressions (address)", "suppressions has no column email"),
        (
            CONTACTS + "CREATE TABLE campaign_instances (id, campaign_type)",
            "campaign_instances has no column instance_name",
        ),
        (CONTACTS + "CREATE TABLE email_schedules (contact_id, email_type)", "email_schedules has no column id"),
        (CONTACTS + SCHEDULES.format("tenant TEXT NOT NULL"), "NOT NULL constraint failed: email_schedules.tenant"),
        (CONTACTS + SCHEDULES.format("CHECK (status <> 'skipped')"), "CHECK constraint failed: status <> 'skipped'"),
        (CONTACTS + SCHEDULES.format("CONSTRAINT few CHECK (priority < 5)"), "CHECK constraint failed: few"),
        (
            CONTACTS + SCHEDULES.replace("skip_reason", "skip_reason AS (1)").format("x"),
            "email_schedules.skip_reason is a generated column",
        ),
        (
            CONTACTS + "CREATE TABLE other (x); CREATE INDEX email_schedules_due ON other (x)",
            "other has an index named email_schedules_due",
        ),
    ],
)
def test_the_wrong_schema(tmp_path: Path, sql: str, sentence: str) -> None:
    path = tmp_path / "a.db"
    execute(path, sql)
    execute(path, "PRAGMA user_version = 1")
    assert_refused(path, sentence)


@pytest.mark.parametrize("profile", ["highperf", "reliable"])
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_row_that_is_refused_late_leaves_every_byte(database: Path, profile: Profile, mode: str) -> None:
    execute(database, SCHEDULES.format("CHECK (contact_id < 200)") + f"; PRAGMA journal_mode = {mode}")
    before = database.read_bytes()
    with pytest.raises(DatabaseError, match="CHECK constraint failed: contact_id < 200"):
        run_pass(database, date(2026, 11, 21), RULES, "run-1", STARTED, 2, profile)
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == [database.name]
    assert query(database, "PRAGMA integrity_check") == [("ok",)]


def test_what_stands_beside_is_never_run(database: Path) -> None:
    execute(
        database,
        """
        CREATE TABLE log (line);
        CREATE VIEW contact_campaigns AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n;
        CREATE VIRTUAL TABLE notes USING fts5(body);
        CREATE TABLE email_schedules (id INTEGER PRIMARY KEY, contact_id REFERENCES log (line) ON DELETE CASCADE);
        CREATE TRIGGER a AFTER INSERT ON email_schedules BEGIN INSERT INTO log VALUES ('insert'); END;
        CREATE TRIGGER b AFTER UPDATE ON email_schedules BEGIN SELECT RAISE(ABORT, 'no'); END;
        CREATE TRIGGER c BEFORE DELETE ON email_schedules BEGIN DELETE FROM contacts; END;
        """,
    )
    execute(database, "INSERT INTO notes VALUES ('kept')")
    report = run_pass(database, date(2026, 11, 21), RULES, "run-1", STARTED, 2)
    assert report.inserted > 100
    assert "contact_campaigns is a view, and was read as absent." in report.warnings
    run_pass(database, date(2027, 4, 1), RULES, "run-2", STARTED, 2)
    assert query(database, "SELECT * FROM log") == []
    assert query(database, "SELECT count(*) FROM contacts") == [(300,)]
    assert query(database, "SELECT body FROM notes") == [("kept",)]
    assert query(database, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'") == [(3,)]


def poison(path: Path, sql: str, bindings: tuple[str, ...]) -> None:
    """Write into the schema itself, as no statement could."""
    connection = apsw.Connection(str(path))
    connection.pragma("writable_schema", True)
    connection.execute(sql, bindings)
    connection.close()


def test_a_second_statement_in_the_schema_is_never_run(database: Path, tmp_path: Path) -> None:
    execute(database, "CREATE TABLE email_schedules (id INTEGER PRIMARY KEY, contact_id, email_type UNIQUE)")
    stolen = tmp_path / "stolen.db"
    for tail in ("; DELETE FROM contacts", f"; ATTACH '{stolen}' AS s; CREATE TABLE s.t (x)"):
        change = "UPDATE sqlite_schema SET sql = sql || ? WHERE name = 'email_schedules'"
        poison(database, change, (tail,))
        before = database.read_bytes()
        with pytest.raises(DatabaseError):
            run(database)
        assert database.read_bytes() == before
        assert not stolen.exists()
        poison(database, "UPDATE sqlite_schema SET sql = replace(sql, ?, '') WHERE name = 'email_schedules'", (tail,))


def test_names_that_are_no_text_are_refused(database: Path) -> None:
    execute(database, "CREATE TABLE other (columnname)")
    content = database.read_bytes()
    database.write_bytes(content.replace(b"columnname", b"column\xce\xff\xcee"))
    assert_refused(database, "schema holds text that is not valid in its encoding")


def test_a_header_that_sqlite_would_mend_is_left_alone(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[24:28], content[28:32] = bytes(4), bytes(4)
    content[4096 * 2 : 4096 * 3] = bytes(4096)
    database.write_bytes(bytes(content))
    assert_refused(database, "damaged", at_planning=False)


def test_a_huge_value_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    execute(path, CONTACTS)
    execute(path, f"INSERT INTO contacts VALUES (1, printf('%.*c', {65 << 20}, 'x'), 'TX', NULL)")
    assert_refused(path, "longer than 64 MiB", at_planning=False)


def test_a_long_value_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    execute(path, CONTACTS)
    execute(
        path, f"INSERT INTO contacts VALUES (1, printf('%.*c', {5 << 20}, 'x') || '@example.com', 'TX', '1950-01-01')"
    )
    assert run_pass(path, date(2026, 11, 21), RULES, "run-1", STARTED, 2).eligible == 1


def test_a_schema_of_many_views_is_refused_soon(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    execute(path, CONTACTS)
    poison(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO sqlite_schema "
        "SELECT 'view', 'v' || i, 'v' || i, 0, 'CREATE VIEW v' || i || ' AS SELECT ' || ? FROM n",
        ("1",),
    )
    began = time.monotonic()
    with pytest.raises(DatabaseError, match="more than 10,000 tables"):
        run(path)
    assert time.monotonic() - began < 20


def tree_of_cycles(content: bytearray, page: int) -> None:
    """Make a page an interior one whose only child is itself."""
    start = (page - 1) * 4096
    content[start : start + 12] = b"\x05" + bytes(7) + page.to_bytes(4, "big")


def out_of_range(content: bytearray, page: int) -> None:
    start = (page - 1) * 4096
    content[start : start + 12] = b"\x05" + bytes(7) + (10**9).to_bytes(4, "big")


@pytest.mark.parametrize("damage", [tree_of_cycles, out_of_range])
def test_a_tree_that_lies(database: Path, damage: Callable[[bytearray, int], None]) -> None:
    ((root,),) = query(database, "SELECT rootpage FROM sqlite_schema WHERE name = 'contacts'")
    content = bytearray(database.read_bytes())
    damage(content, root)
    database.write_bytes(bytes(content))
    assert_refused(database, "damaged")
