"""Importing a file into a database: read and check every line first, then write in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mailtide.database.import_rows import (
    Apply,
    check_folder,
    locked_or_new,
    put_contacts,
    put_rows,
    put_suppressions,
)
from mailtide.database.inspect_local import schema_of
from mailtide.database.staging import Staging, staging
from mailtide.database.values import is_email
from mailtide.errors import InputError
from mailtide.importing.checks import Checked, check_contacts, check_suppressions
from mailtide.importing.csv_file import check_is_text, read_csv
from mailtide.importing.records import Records, Refusal, check_names

SHOWN_REFUSALS = 20
_PARQUET = b"PAR1"

type Progress = Callable[[str, int], None]
"""Called with a step and how far it is: `read` bytes (of Parquet `rows`), `write` lines."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What is imported: the table, how its lines are checked and written, and the columns of a table that is not there."""

    table: str
    check: Callable[[Records, set[str]], Checked]
    apply: Apply
    columns: frozenset[str]
    may_make_database: bool
    is_headless: Callable[[list[str]], bool]


CONTACTS = Kind(
    "contacts", check_contacts, put_contacts,
    frozenset({"id", "email", "zip_code", "state", "birth_date", "effective_date", "phone_number"}),
    may_make_database=True, is_headless=lambda _: False,
)  # fmt: skip
SUPPRESSIONS = Kind(
    "suppressions", check_suppressions, put_suppressions, frozenset({"email"}),
    may_make_database=False, is_headless=lambda cells: len(cells) == 1 and is_email(cells[0]),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Counts of lines. When `written` is False the database is as it was."""

    inserted: int
    updated: int
    unchanged: int
    refused: int
    without_state: int
    """Lines in order that name neither a state nor a ZIP code that the rules know: contacts without either get no mail."""
    written: bool
    first_refusals: list[Refusal]


def import_file(
    database: Path,
    file: Path,
    kind: Kind,
    *,
    ignore_unknown: bool,
    strict: bool,
    progress: Progress,
    keep_refusals: Callable[[Staging], None],
) -> ImportReport:
    """Import a CSV or Parquet file. strict: take nothing when a line is refused. keep_refusals: gets the staging at the end.

    Raises InputError when the file as a whole is refused, DatabaseError when the database is; it keeps every byte then.
    """
    known = _writable(database, kind)
    with _open(file) as opened:
        records = _records(opened, file, known, kind, progress)
        check_names(records.names, known, ignore_unknown=ignore_unknown)
        checked = kind.check(records, known)
        with staging(len(checked.columns)) as staged:
            without_state = _stage(checked, staged)
            counts = (0, 0, 0)
            if staged.count("staged") and not (strict and staged.count("refused")):
                counts = _write(database, kind, staged, checked.columns, progress, strict=strict)
            refused = staged.count("refused")
            keep_refusals(staged)
            first = [Refusal(*found) for found in staged.refused(SHOWN_REFUSALS)]
    if strict and refused:
        counts = (0, 0, 0)
    return ImportReport(*counts, refused, without_state, bool(counts[0] or counts[1]), first)


def _writable(database: Path, kind: Kind) -> set[str]:
    """The columns of the table that values can be put into, by lower-cased name."""
    if not database.exists() and kind.may_make_database:
        check_folder(database)
        return set(kind.columns)
    table = schema_of(database).get(kind.table)
    if table is None:
        return set(kind.columns)
    return {name for name, column in table.columns.items() if not column.is_generated}


def _open(file: Path) -> IO[bytes]:
    if not file.is_file():
        raise InputError(f"{file} is no file." if file.exists() else f"There is no file {file}.")
    try:
        return file.open("rb")
    except PermissionError:
        raise InputError(f"{file} may not be read.") from None


def _records(opened: IO[bytes], file: Path, known: set[str], kind: Kind, progress: Progress) -> Records:
    start = opened.read(16)
    opened.seek(0)
    if start.startswith(_PARQUET):
        from mailtide.importing.parquet_file import read_parquet

        return read_parquet(file, known, lambda done: progress("rows", done))
    check_is_text(start)
    return read_csv(opened, known, kind.is_headless, lambda done: progress("read", done))


def _stage(checked: Checked, staged: Staging) -> int:
    """Keep every line; returns how many of those that are in order have no state."""
    without_state = 0
    for line in checked.lines:
        if isinstance(line, Refusal):
            staged.refuse(line.number, line.reason)
        else:
            staged.add(line.number, line.id, line.email_key, line.values)
            without_state += not line.has_state
    return without_state


def _write(
    database: Path, kind: Kind, staged: Staging, columns: list[str], progress: Progress, *, strict: bool
) -> tuple[int, int, int]:
    with locked_or_new(database, may_make=kind.may_make_database) as locked:
        table = locked.schema.get(kind.table)
        if table is not None and not set(columns) <= set(table.columns):
            raise InputError(f"The columns of {kind.table} changed meanwhile; nothing was imported.")
        target = put_rows(
            locked, kind.table, staged, columns, kind.apply, lambda done: progress("write", done), strict=strict
        )
    return target.inserted, target.updated, target.unchanged
