"""`mailtide schedule`, `generate` and `db-info` as people run them."""

import json
import os
from pathlib import Path

import apsw
import pytest
from pydantic import TypeAdapter

from mailtide.machine.report import PassReport
from tests.integration.pass_.rows import execute, fingerprint, query, schedule_of
from tests.support import forkserver


def mailtide(*arguments: str | Path, code: int = 0) -> str:
    """Run a command as a process; its output, or for code 2 the one line that it prints as an error."""
    done = forkserver.command(*arguments, env=os.environ)
    assert done.returncode == code, done.stderr
    if code == 2:
        assert "Traceback" not in done.stderr
        return done.stderr.strip()
    assert done.stderr == ""
    return done.stdout


def test_generate_schedule_and_look(tmp_path: Path) -> None:
    path = tmp_path / "demo.db"
    assert "5,000 contacts" in mailtide("generate", "--contacts", "5000", path)
    facts = json.loads(mailtide("db-info", path, "--json"))
    assert facts["contacts_estimate"] == pytest.approx(5000, rel=0.04)
    assert "about" in mailtide("db-info", path)
    shown = mailtide("schedule", path, "--as-of", "2026-11-21")
    for words in ("birthday", "birthday_window:CA", "year_round:NY", "invalid_email", "inserted", "Seconds"):
        assert words in shown
    before = fingerprint(path)
    again = TypeAdapter(PassReport).validate_json(
        mailtide("schedule", path, "--as-of", "2026-11-21", "--json", "--threads", "1")
    )
    assert not again.changed
    assert fingerprint(path) == before
    assert "nothing was written" in mailtide("schedule", path, "--as-of", "2026-11-21", "--profile", "reliable")


def test_equal_seeds_give_equal_files(tmp_path: Path) -> None:
    for name, seed in (("a", "4"), ("b", "4"), ("c", "5")):
        mailtide("generate", "--contacts", "500", "--seed", seed, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
    states = query(tmp_path / "a", "SELECT count(DISTINCT state) FROM contacts")
    assert states[0][0] > 30


def test_generate_replaces_only_by_force(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_text("precious")
    assert "exists already" in mailtide("generate", "--contacts", "1", path, code=2)
    assert path.read_text() == "precious"
    mailtide("generate", "--contacts", "1", path, "--force")
    assert query(path, "SELECT count(*) FROM contacts") == [(1,)]
    assert "no folder" in mailtide("generate", "--contacts", "1", tmp_path / "x" / "a.db", code=2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["schedule", "DB", "--as-of", "21.11.2026"], "--as-of is '21.11.2026'"),
        (["schedule", "DB", "--as-of", "20261121"], "--as-of"),
        (
            ["schedule", "DB", "--as-of", "2026-11-21", "--rules", "RULES"],
            "rules.yaml: The rules file has the unknown key aep_date",
        ),
        (["schedule", "DB", "--as-of", "2026-11-21", "--rules", "/nowhere.yaml"], "/nowhere.yaml cannot be read"),
        (["schedule", "DB", "--threads", "0"], "0"),
        (["schedule", "nowhere.db"], "There is no file nowhere.db"),
        (["db-info", "RULES"], "not an SQLite database"),
    ],
)
def test_bad_input(database: Path, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("aep_date: [09-15]\n")
    before = fingerprint(database)
    names = {"DB": str(database), "RULES": str(rules)}
    assert sentence in mailtide(*(names.get(argument, argument) for argument in arguments), code=2)
    assert fingerprint(database) == before


def test_a_refused_file_is_named_in_one_line(database: Path) -> None:
    execute(database, "ALTER TABLE contacts RENAME COLUMN email TO mail")
    before = fingerprint(database)
    for command in ("schedule", "db-info"):
        assert mailtide(command, database, code=2) == f"mailtide: {database}: contacts has no column email."
    assert fingerprint(database) == before


def in_the_wal(path: Path, contacts: int) -> apsw.Connection:
    """A database whose table contacts stands in the -wal alone, held open."""
    live = apsw.Connection(str(path))
    live.pragma("journal_mode", "wal")
    live.pragma("wal_autocheckpoint", 0)
    live.execute("CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, state TEXT)")
    live.executemany("INSERT INTO contacts VALUES (?, 'a@b.co', 'TX')", ((number,) for number in range(contacts)))
    return live


def test_what_stands_only_in_the_wal_counts(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    path = tmp_path / "live" / "a.db"
    live = in_the_wal(path, 700)
    link = tmp_path / "link.db"
    link.symlink_to(path)
    for name in (path, link):
        assert json.loads(mailtide("plan", name, "--json"))["contacts"] == 700
        facts = json.loads(mailtide("db-info", name, "--json"))
        assert (facts["contacts_estimate"], facts["journal_mode_wal"], facts["warnings"]) == (700, True, [])
    left = tmp_path / "left"
    left.mkdir()
    for part in ("a.db", "a.db-wal"):
        (left / part).write_bytes((path.parent / part).read_bytes())
    live.close()
    before = fingerprint(left / "a.db")
    assert "contacts: about 700\n" in mailtide("db-info", left / "a.db")
    assert fingerprint(left / "a.db") == before
    (left / "a.db-wal").unlink()
    assert "no table contacts" in mailtide("db-info", left / "a.db", code=2)


@pytest.mark.parametrize("spoiled", [b"", b"\x00" * 5000, b"\x37\x7f\x06\x82" + b"\xff" * 9000])
def test_a_wal_of_rubbish_counts_for_nothing(database: Path, spoiled: bytes) -> None:
    execute(database, "PRAGMA journal_mode = wal")
    database.with_name("contacts.db-wal").write_bytes(spoiled)
    before = fingerprint(database)
    for command in ("db-info", "plan"):
        assert "about 2," in mailtide(command, database)
    assert fingerprint(database) == before
    database.write_bytes(b"\x5a" * 4096)
    database.with_name("contacts.db-wal").write_bytes(spoiled)
    before = fingerprint(database)
    for command in ("db-info", "plan"):
        assert "not an SQLite database" in mailtide(command, database, code=2)
    assert fingerprint(database) == before


def test_a_plan_in_words(tmp_path: Path) -> None:
    path = tmp_path / "small.db"
    mailtide("generate", "--contacts", "300", path)
    said = mailtide("plan", path).splitlines()
    assert [line.split(":")[0] for line in said] == ["contacts", "database", "machine", "expected"]
    assert said[0].startswith("contacts: about 300, estimated from ")
    assert said[1].endswith(" kB")
    assert "shared-cpu-1x, 1024 MB, 1 thread" in said[2]
    assert " s and $0.000" in said[3]
    assert mailtide("plan", "--contacts", "2000000").startswith("contacts: 2,000,000\ndatabase: 200.0 MB\n")


def test_other_rules(database: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("aep_dates: []\nstates: {}\n")
    mailtide("schedule", database, "--as-of", "2026-11-21", "--rules", rules)
    assert query(database, "SELECT DISTINCT email_type FROM email_schedules ORDER BY 1") == [
        ("birthday",),
        ("effective_date",),
    ]
    own = schedule_of(database)
    mailtide("schedule", database, "--as-of", "2026-11-21", "--rules", "origin")
    assert schedule_of(database) != own
