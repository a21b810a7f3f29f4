"""UNIQUE constraints come out of a CREATE TABLE statement; everything else stays."""

import apsw
import pytest

from mailtide.database.ddl import without_unique

CASES = [
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT)",
    "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT NOT NULL UNIQUE ON CONFLICT REPLACE DEFAULT 'x,)', b)",
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, UNIQUE (a, b))",
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, CONSTRAINT one UNIQUE (a) ON CONFLICT IGNORE, CHECK (a <> 'UNIQUE'))",
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a CONSTRAINT named UNIQUE CHECK (length(a) < 9), b -- UNIQUE, really\n)",
    'CREATE TABLE IF NOT EXISTS "t" ("id" INTEGER PRIMARY KEY, [a] TEXT /* , */ UNIQUE, `b` REFERENCES other(x) UNIQUE)',
    "CREATE TABLE t (id INTEGER, a TEXT, b, PRIMARY KEY (a, b))",
    "CREATE TABLE t (id INT PRIMARY KEY, a, b)",
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a GENERATED ALWAYS AS (b + 1) VIRTUAL UNIQUE, b)",
    "CREATE TABLE t (a TEXT PRIMARY KEY DESC ON CONFLICT ROLLBACK NOT NULL, id INTEGER, b) STRICT",
    "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE UNIQUE, b, FOREIGN KEY (a) REFERENCES other (x))",
]


@pytest.mark.parametrize("sql", CASES)
def test_no_unique_index_is_left_and_columns_stay(sql: str) -> None:
    if "STRICT" in sql:
        sql = sql.replace(", b)", ", b ANY)")
    connection = apsw.Connection(":memory:")
    connection.execute(sql)
    before = [row[1] for row in connection.execute("PRAGMA table_xinfo(t)")]
    connection.execute(without_unique(sql, "u", "id"))
    assert [row[1] for row in connection.execute("PRAGMA table_xinfo(u)")] == before
    assert connection.execute("PRAGMA index_list(u)").fetchall() == []
    (key,) = [row for row in connection.execute("PRAGMA table_xinfo(u)") if row[5]]
    assert key[1:3] == ("id", "INTEGER")


def test_checks_and_defaults_stay() -> None:
    sql = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT DEFAULT 'x' UNIQUE CHECK (a <> 'bad'), UNIQUE (a))"
    connection = apsw.Connection(":memory:")
    connection.execute(without_unique(sql, "u", "id"))
    connection.execute("INSERT INTO u (id) VALUES (1), (2)")
    assert connection.execute("SELECT a FROM u").fetchall() == [("x",), ("x",)]
    with pytest.raises(apsw.ConstraintError):
        connection.execute("INSERT INTO u (a) VALUES ('bad')")


@pytest.mark.parametrize("sql", ["CREATE TABLE t", "CREATE TABLE t (a)", "", "CREATE TABLE t (a"])
def test_what_cannot_be_rebuilt(sql: str) -> None:
    with pytest.raises(ValueError, match="column"):
        without_unique(sql, "u", "id")
