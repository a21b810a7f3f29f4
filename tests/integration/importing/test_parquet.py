"""Parquet files: real types, damaged files, and no pyarrow."""

import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.integration.pass_.rows import fingerprint, query
from tests.unit.cli.conftest import Run


def test_values_of_every_usual_type(run: Run, database: Path, tmp_path: Path) -> None:
    table = pa.table(
        {
            "ID": pa.array([7, 8, 9, None], pa.int32()),
            "Email": pa.array(["g@x.co", "h@x.co", "nope", "i@x.co"]).dictionary_encode(),
            "birth_date": pa.array([date(1950, 3, 15), None, None, date(1899, 1, 1)], pa.date32()),
            "effective_date": pa.array([datetime(2015, 1, 2, 3, tzinfo=UTC)] * 4, pa.timestamp("ns", "UTC")),
            "zip_code": pa.array([75001.0, 501.0, None, None]),
            "phone_number": pa.array([Decimal("5550100"), None, None, None]),
            "state": pa.array(["TX", "  ", "TX", "TX"]),
            "scores": pa.array([[1, 2]] * 4),
        }
    )
    path = tmp_path / "export.parquet"
    parquet.write_table(table, path)
    assert "'scores'" in run("import", "contacts", database, path).err
    done = run("import", "contacts", database, path, "--ignore-unknown")
    assert done.out == "contacts: 2 added, 0 changed, 0 as they were; 2 lines refused.\n"
    assert [line.partition(":")[0] for line in done.err.removeprefix("mailtide: ").split("\nmailtide: ")] == [
        "line 3",
        "line 4",
    ]
    columns = "id, email, birth_date, substr(effective_date, 1, 10), zip_code, phone_number, state"
    assert query(database, f"SELECT {columns} FROM contacts WHERE id > 4") == [
        (7, "g@x.co", "1950-03-15", "2015-01-02", "75001", "5550100", "TX"),
        (8, "h@x.co", None, "2015-01-02", "501", None, None),
    ]
    before = fingerprint(database)
    assert "2 as they were" in run("import", "contacts", database, path, "--ignore-unknown").out
    assert fingerprint(database) == before


def test_columns_that_are_no_single_values_and_damaged_files_are_refused(
    run: Run, database: Path, tmp_path: Path
) -> None:
    before = fingerprint(database)
    path = tmp_path / "export.parquet"
    for column in (pa.array([[1]]), pa.array([{"a": 1}]), pa.array([b"a@b.co"])):
        parquet.write_table(pa.table({"email": column}), path)
        assert "a single value is needed" in run("import", "contacts", database, path).err
    emails = [f"{number}@x.co" for number in range(50_000)]
    parquet.write_table(pa.table({"email": emails}), path, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    for damage in (content[:-2], content[:1000], content[:200_000] + b"\xff" * 300_000 + content[500_000:]):
        path.write_bytes(damage)
        done = run("import", "contacts", database, path)
        assert done.code == 2
        assert "Traceback" not in done.err
        assert fingerprint(database)[0] == before[0] or "refused" in done.out


def test_without_pyarrow_it_says_what_is_missing(database: Path, tmp_path: Path) -> None:
    path = tmp_path / "export.parquet"
    parquet.write_table(pa.table({"email": ["a@b.co"]}), path)
    refuse = "import sys; sys.modules['pyarrow'] = None; from mailtide.cli.main import main; main()"
    command = [sys.executable, "-c", refuse, "import", "contacts", str(database), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "mailtide: This command needs pyarrow: install mailtide[parquet].\n")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "bin"])
def test_the_content_decides_not_the_name(run: Run, database: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"export.{suffix}"
    parquet.write_table(pa.table({"email": ["g@x.co"], "state": ["TX"]}), path)
    assert run("import", "contacts", database, path).out.startswith("contacts: 1 added")
