"""`mailtide import suppressions`: addresses that get no mail from then on."""

from pathlib import Path

import pytest

from tests.integration.pass_.rows import execute, fingerprint, query
from tests.unit.cli.conftest import Run


@pytest.mark.parametrize("content", ["email\nANN@example.org \nnew@x.co\n", "ANN@example.org\nnew@x.co\n"])
def test_addresses_are_added_once_with_a_header_or_without(
    run: Run, database: Path, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "unsubscribed.csv"
    file.write_text(content)
    done = run("import", "suppressions", database, file)
    assert (done.code, done.out) == (0, "suppressions: 2 added, 0 changed, 0 as they were; 0 lines refused.\n")
    before = fingerprint(database)
    done = run("import", "suppressions", database, file)
    assert done.out == "suppressions: 0 added, 0 changed, 2 as they were; 0 lines refused.\n"
    assert fingerprint(database) == before
    report = run("schedule", database, "--as-of", "2026-11-21", "--dry-run", "--json").out
    assert '"suppressed": 1' in report


def test_bad_lines_and_other_columns(run: Run, database: Path, tmp_path: Path) -> None:
    execute(database, "CREATE TABLE Suppressions (reason TEXT, Email TEXT PRIMARY KEY) WITHOUT ROWID")
    execute(database, "INSERT INTO suppressions VALUES ('of old', ' Ann@Example.org ')")
    file = tmp_path / "unsubscribed.csv"
    file.write_text("reason,email\nclick,ann@example.org\nbounce,new@x.co\n,NEW@x.co\nclick,nobody\n")
    done = run("import", "suppressions", database, file)
    assert done.code == 2
    assert done.out == "suppressions: 1 added, 0 changed, 1 as they were; 2 lines refused.\n"
    assert done.err.splitlines() == [
        "mailtide: line 4: its e-mail address stands in line 3 already",
        "mailtide: line 5: email is no e-mail address",
    ]
    assert query(database, "SELECT * FROM suppressions ORDER BY 1") == [
        ("bounce", "new@x.co"),
        ("of old", " Ann@Example.org "),
    ]
    file.write_text("e_mail\nx@y.co\n")
    assert "'e_mail'" in run("import", "suppressions", database, file).err
    assert "names no column email" in run("import", "suppressions", database, file, "--ignore-unknown").err


def test_what_is_planned_already_is_withheld_at_once(run: Run, database: Path, tmp_path: Path) -> None:
    execute(database, "UPDATE contacts SET birth_date = '1950-12-15', state = 'TX'")
    assert run("schedule", database, "--as-of", "2026-11-21").code == 0
    assert (
        "ann@example.org"
        in run("due", database, "--on", "2026-12-01", "--output", tmp_path / "due.csv").err
        + (tmp_path / "due.csv").read_text()
    )
    file = tmp_path / "unsubscribed.csv"
    file.write_text("ann@example.org\n")
    run("import", "suppressions", database, file)
    done = run("due", database, "--on", "2026-12-01", "--output", tmp_path / "due.csv")
    assert done.err == "Withheld: 1 suppressed.\n"
    assert "ann@example.org" not in (tmp_path / "due.csv").read_text()
