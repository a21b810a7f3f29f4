"""`mailtide import contacts`: what goes in, what is refused, and that nothing else changes."""

import json
from pathlib import Path
from typing import Any

import apsw
import pytest

from tests.integration.importing.conftest import CREATE, ROWS
from tests.integration.pass_.rows import execute, fingerprint, query
from tests.unit.cli.conftest import Run


def contacts(path: Path) -> dict[int, tuple[Any, ...]]:
    return {row[0]: tuple(row[1:]) for row in query(path, "SELECT * FROM contacts ORDER BY id")}


def given(tmp_path: Path, content: str | bytes, name: str = "export.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(err: str) -> list[str]:
    return [line.removeprefix("mailtide: ") for line in err.splitlines() if line.startswith("mailtide: line ")]


def test_lines_change_contacts_by_id_or_address_and_add_the_others(run: Run, database: Path, tmp_path: Path) -> None:
    before = contacts(database)
    file = given(
        tmp_path,
        "id,email,birth_date,state\n"
        "1,ann.new@example.org,1951-01-02,\n"  # by id: a new address, and no state any more
        ",BOB@example.org,1960-07-04,CA\n"  # by address
        "9,nina@example.org,,TX\n"  # a new contact with this id
        ",new@example.org,1970-01-01,TX\n"  # a new contact without one
        "4,twin@example.org,,NV\n",
    )
    done = run("import", "contacts", database, file)
    assert (done.code, done.err) == (0, "mailtide: 1 line without a state or ZIP code that the rules know\n")
    assert done.out == "contacts: 2 added, 3 changed, 0 as they were; 0 lines refused.\n"
    after = contacts(database)
    assert after[1] == ("ann.new@example.org", "Ann", "75001", None, "1951-01-02", "2015-01-01", "5550100")
    assert after[2] == ("BOB@example.org", "Bob", None, "CA", "1960-07-04", None, None)
    assert after[3] == before[3]
    assert after[4] == ("twin@example.org", "Di", None, "NV", None, None, None)
    assert after[9] == ("nina@example.org", None, None, "TX", None, None, None)
    assert after[10] == ("new@example.org", None, None, "TX", "1970-01-01", None, None)
    assert len(after) == 6
    final = fingerprint(database)
    again = run("import", "contacts", database, file, "--json")
    assert json.loads(again.out) == {
        "inserted": 0, "updated": 0, "unchanged": 5, "refused": 0, "without_state": 1, "written": False, "first_refusals": [],
    }  # fmt: skip
    assert fingerprint(database) == final


def test_a_new_contact_never_takes_an_id_that_the_file_names_later(run: Run, database: Path, tmp_path: Path) -> None:
    run("import", "contacts", database, given(tmp_path, "id,email\n,first@x.co\n5,five@x.co\n,second@x.co\n"))
    assert {number: row[0] for number, row in contacts(database).items() if number > 4} == {
        5: "five@x.co",
        6: "first@x.co",
        7: "second@x.co",
    }


def test_bad_lines_are_listed_and_the_good_ones_go_in(run: Run, database: Path, tmp_path: Path) -> None:
    lines = [
        "Id;E-MAIL;Birth Date;First name;State",
        "1;;1950-03-15;Ann;TX",
        "2;bob.example.org;;Bob;CA",
        "2.5;bob@example.org;;Bob;CA",
        "99999999999999999999;bob@example.org;;Bob;CA",
        ";twin@example.org;;Eve;NV",
        "20;ok@example.org;03/15/1950;Ok;TX",
        "21;ok@example.org;1950-02-29;Ok;TX",
        "22;good@example.org;1952-02-29;Good;Ontario",
        "22;good@example.org;1952-02-29;Again;TX",
        ";;;;",
        ";once@example.org;;Once;TX",
        ";ONCE@example.org ;;Twice;TX",
        '"23;open@example.org;;Quote;TX',
        '24;"a"b@example.org;;Quote;TX',
        "25;nul\0@example.org;;Nul;TX",
        "26;nul@example.org;;N\0ul;TX",
        "27;short@example.org",
        "28;long@example.org;;" + "x" * 10_001 + ";TX",
        '29;last@example.org;1950-01-01;"La;st";TX',
        "",
    ]
    file = given(tmp_path, "\n".join(lines).replace("E-MAIL", "email"))
    listed = tmp_path / "refused.txt"
    done = run("import", "contacts", database, file, "--refused", listed)
    assert done.code == 2
    assert done.out == "contacts: 3 added, 0 changed, 0 as they were; 15 lines refused.\n"
    wanted = {
        2: "email is empty",
        3: "email is no e-mail address",
        4: "id is '2.5'; it must be a whole number",
        5: "id is '99999999999999999999'; it must be a whole number",
        6: "several contacts have its e-mail address; give the id",
        7: "birth_date is '03/15/1950'; it must be a day like 1950-03-15, of the years 1900 to 2100",
        8: "birth_date is '1950-02-29'; it must be a day like 1950-03-15, of the years 1900 to 2100",
        10: "id 22 stands in line 9 already",
        13: "its e-mail address stands in line 12 already",
        14: "a quote is opened and not closed",
        15: "it is not CSV: ';' expected after '\"'",
        16: "email holds a NUL",
        17: "first_name holds a NUL",
        18: "it has 2 columns instead of 5",
        19: "first_name is longer than 10,000 characters",
    }
    text = listed.read_text()
    assert text == "".join(f"line {number}: {reason}\n" for number, reason in wanted.items())
    assert refused(done.err) == text.splitlines()
    assert "1 line without a state or ZIP code" in done.err
    assert "@" not in text
    rows = contacts(database)
    assert (rows[29][1], rows[22][3], rows[30][0]) == ("La;st", "Ontario", "once@example.org")
    assert len(rows) == 7


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffID,EMAIL,State\r\n7,seven@x.co,TX\r\n",
        "State\temail\tid\nTX\tseven@x.co\t7\n",
        "sep=|\nemail|state|id\nseven@x.co|TX|7",
        "email;state;id\rseven@x.co;TX;7\r",
        '\n\n"e-mail address is not known","email","id","state"\n"a,\nb","seven@x.co","7"," TX "\n',
        "id,email,state\n\n\n  7 , seven@x.co , TX \n,,\n",
        b"id,email,state\n8,\xff\xfe@x.co,TX\n7,seven@x.co,TX\n",
        b"id,email,state\n8," + b"x" * 3_000_000 + b",TX\n7,seven@x.co,TX\n",
        'id,email,state\n"8,open@x.co,TX\n7,seven@x.co,TX\n9,"x@x.co,TX\n',
    ],
)
def test_csv_as_people_have_it(run: Run, database: Path, tmp_path: Path, content: str | bytes) -> None:
    before = contacts(database)
    done = run("import", "contacts", database, given(tmp_path, content), "--ignore-unknown")
    assert done.code in (0, 2), done.err
    assert contacts(database) == before | {7: ("seven@x.co", None, None, "TX", None, None, None)}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "The file is empty; its first line must name the columns"),
        ("\n \n", "The file is empty"),
        ("id,email,brith_date\n7,a@b.co,\n", "columns that the table does not have: 'brith_date' (it has birth_date, "),
        ("id,email,ID \n7,a@b.co,8\n", "names a column twice: 'id'"),
        ("state,zip_code\nTX,75001\n", "neither a column id nor a column email"),
        ("7,a@b.co,TX\n", "columns that the table does not have"),
        ("\x1b[31m,email\n1,a@b.co\n", "'\\x1b[31m'"),
        ('id,"email\n1,a@b.co\n', "The first line is not CSV"),
        ("id,email\n1,a@b.co\n".encode("utf-16"), "UTF-16"),
        (b"\xff\xffid,email\n1,a@b.co\n", "The first line is no text"),
        (b"id,\0email\n1,a@b.co\n", "The first line is no text"),
        (b"PK\x03\x04" + b"x" * 500, "Excel"),
        (b"\x1f\x8b" + b"x" * 500, "compressed"),
        (b"SQLite format 3\x00" + b"x" * 500, "an SQLite database, not CSV"),
        (b"PAR1" + b"x" * 500, "The Parquet file cannot be read"),
        (b"x" * 3_000_000, "The first line is no text"),
    ],
)
def test_a_file_that_is_no_good_leaves_every_byte(
    run: Run, database: Path, tmp_path: Path, content: str | bytes, sentence: str
) -> None:
    before = fingerprint(database)
    file = given(tmp_path, content)
    done = run("import", "contacts", database, file, "--refused", tmp_path / "refused.txt")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"mailtide: {file}: ")
    assert sentence in done.err
    assert len(done.err.splitlines()) == 1
    assert fingerprint(database) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.csv", "organisation"]


def test_strict_takes_all_or_nothing(run: Run, database: Path, tmp_path: Path) -> None:
    before = fingerprint(database)
    for content in ("id,email\n7,a@b.co\n8,nope\n", "id,email\n7,a@b.co\n,twin@example.org\n"):
        done = run("import", "contacts", database, given(tmp_path, content), "--strict")
        assert (done.code, done.out) == (2, "Nothing was imported: 1 line refused.\n")
        assert len(refused(done.err)) == 1
        assert fingerprint(database) == before
    assert run("import", "contacts", database, given(tmp_path, "id,email\n7,a@b.co\n"), "--strict").code == 0


@pytest.mark.parametrize("identity", ["id", "id TEXT", "id INT PRIMARY KEY", "id INTEGER PRIMARY KEY DESC"])
def test_ids_that_are_not_the_rowid(run: Run, tmp_path: Path, identity: str) -> None:
    path = tmp_path / "a.db"
    execute(path, CREATE.replace("id INTEGER PRIMARY KEY", identity))
    execute(path, f"INSERT INTO contacts VALUES {ROWS}, ('x', 'x@example.org', NULL, NULL, 'TX', NULL, NULL, NULL)")
    content = "id,email,state\n+2,bob@example.org,NV\n,ann@example.org,FL\n,new@example.org,TX\n"
    content += ",newer@example.org,TX\n40,u@x.co,TX\n"
    done = run("import", "contacts", path, given(tmp_path, content))
    assert done.out == "contacts: 3 added, 2 changed, 0 as they were; 0 lines refused.\n"
    found = {str(row[0]): (row[1], row[2]) for row in query(path, "SELECT id, email, state FROM contacts")}
    assert found["1"] == ("ann@example.org", "FL")
    assert found["2"] == ("bob@example.org", "NV")
    assert (found["40"][0], found["41"][0], found["42"][0]) == ("u@x.co", "new@example.org", "newer@example.org")
    assert len(found) == 8


def test_what_the_table_refuses_costs_its_own_line_only(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    execute(path, "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT UNIQUE ON CONFLICT REPLACE, state TEXT NOT NULL "
                  "CHECK (state <> 'ZZ'), upper_state TEXT AS (upper(state)), seen INTEGER)")  # fmt: skip
    execute(path, "CREATE TRIGGER t AFTER INSERT ON contacts BEGIN DELETE FROM contacts; END")
    execute(path, "INSERT INTO contacts (id, email, state) SELECT 1, 'a@b.co', 'TX' WHERE 0")
    content = "id,email,state\n1,a@b.co,TX\n2,a@b.co,TX\n3,c@b.co,ZZ\n4,d@b.co,\n5,e@b.co,ca\n"
    done = run("import", "contacts", path, given(tmp_path, content))
    assert done.out == "contacts: 2 added, 0 changed, 0 as they were; 3 lines refused.\n"
    assert [line.partition(":")[2] for line in refused(done.err)] == [
        " the table refuses it: UNIQUE constraint failed: contacts.email",
        " the table refuses it: CHECK constraint failed: state <> 'ZZ'",
        " the table refuses it: NOT NULL constraint failed: contacts.state",
    ]
    assert query(path, "SELECT id, upper_state FROM contacts") == [(1, "TX"), (5, "CA")]
    done = run("import", "contacts", path, given(tmp_path, "id,email,upper_state\n7,x@b.co,TX\n"))
    assert "columns that the table does not have: 'upper_state'" in done.err


def test_a_rule_of_the_table_that_ends_the_transaction_leaves_everything(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    execute(path, "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, state TEXT, "
                  "UNIQUE (email) ON CONFLICT ROLLBACK)")  # fmt: skip
    before = fingerprint(path)
    done = run("import", "contacts", path, given(tmp_path, "id,email,state\n1,a@b.co,TX\n2,a@b.co,TX\n", "x.csv"))
    assert done.code == 2
    # Our statement says ABORT, which is stronger than what the table says: the first line goes in.
    assert query(path, "SELECT id FROM contacts") == [(1,)]
    assert fingerprint(path) != before


def test_a_database_in_use_is_left_alone(run: Run, database: Path, tmp_path: Path) -> None:
    # The lock is waited for, for as long as a pass waits for it: that is why this takes three seconds.
    before = contacts(database)
    live = apsw.Connection(str(database))
    live.execute("BEGIN IMMEDIATE; DELETE FROM contacts WHERE id = 1")
    done = run("import", "contacts", database, given(tmp_path, "id,email\n7,a@b.co\n"))
    assert done.code == 2
    assert "in use by another program" in done.err
    live.execute("ROLLBACK")
    live.close()
    assert contacts(database) == before


def test_the_journal_mode_stays_and_what_is_in_the_wal_counts(run: Run, database: Path, tmp_path: Path) -> None:
    file = given(tmp_path, "id,email,state\n7,a@b.co,TX\n8,gone@b.co,TX\n")
    execute(database, "PRAGMA journal_mode = wal")
    live = apsw.Connection(str(database))
    live.pragma("wal_autocheckpoint", 0)
    live.execute("INSERT INTO contacts (id, email, state) VALUES (8, 'gone@b.co', 'TX')")
    copies = {name: (database.parent / name).read_bytes() for name in ("contacts.db", "contacts.db-wal")}
    live.close()
    for name, content in copies.items():
        (database.parent / name).write_bytes(content)
    done = run("import", "contacts", database, file)
    assert done.out == "contacts: 1 added, 0 changed, 1 as they were; 0 lines refused.\n"
    assert sorted(contacts(database)) == [1, 2, 3, 4, 7, 8]
    assert query(database, "PRAGMA journal_mode") == [("wal",)]
    assert query(database, "PRAGMA integrity_check") == [("ok",)]


def test_a_database_that_is_not_there_is_made(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    done = run("import", "contacts", path, given(tmp_path, "email,state\nnobody,TX\n"))
    assert done.code == 2
    assert not path.exists()
    assert (
        "There is no folder"
        in run("import", "contacts", tmp_path / "x" / "new.db", given(tmp_path, "email\na@b.co\n")).err
    )
    done = run("import", "contacts", path, given(tmp_path, "email,birth_date,state\na@b.co,1950-12-15,TX\n"))
    assert (done.code, done.out) == (0, "contacts: 1 added, 0 changed, 0 as they were; 0 lines refused.\n")
    assert run("schedule", path, "--as-of", "2026-11-21").code == 0
    assert query(path, "SELECT email_type FROM email_schedules") == [("aep",), ("birthday",)] or query(
        path, "SELECT count(*) FROM email_schedules") == [(2,)]  # fmt: skip
    assert sorted(found.name for found in tmp_path.iterdir()) == ["export.csv", "new.db"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["contacts", "DB", "nowhere.csv"], "There is no file nowhere.csv."),
        (["contacts", "DB", "/"], "/ is no file."),
        (["contacts", "FILE", "FILE"], "not an SQLite database"),
        (["contacts", "DB", "FILE", "--refused", "DB"], "is a database; it is not overwritten"),
        (["suppressions", "nowhere.db", "FILE"], "There is no file nowhere.db"),
    ],
)
def test_bad_arguments(run: Run, database: Path, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    before = fingerprint(database)
    names = {"DB": str(database), "FILE": str(given(tmp_path, "email\na@b.co\n"))}
    done = run("import", *(names.get(argument, argument) for argument in arguments))
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
    assert fingerprint(database) == before
