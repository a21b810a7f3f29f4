"""`mailtide import`: contacts and suppressions from files of others."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress, TaskID

from mailtide.cli.files import counted, naming
from mailtide.cli.out_file import check_out_file, out_file
from mailtide.errors import DatabaseError, InputError

if TYPE_CHECKING:
    from mailtide.database.staging import Staging
    from mailtide.importing.load import ImportReport, Kind


@click.group(name="import")
def imports() -> None:
    """Put contacts or suppressions from a CSV or Parquet file into a database."""


def _import_options(command: Callable[..., None]) -> Callable[..., None]:
    for decorate in (
        click.option("--json", "as_json", is_flag=True, help="Print the counts and the first refused lines as JSON."),
        click.option(
            "--refused", type=click.Path(path_type=Path), metavar="OUT",
            help="Write every refused line's number and why into this file.",
        ),
        click.option("--strict", is_flag=True, help="Take nothing at all when a line is refused."),
        click.option("--ignore-unknown", is_flag=True, help="Leave out columns of FILE that the table does not have."),
        click.argument("file", type=click.Path(path_type=Path)),
        click.argument("database", metavar="DB", type=click.Path(path_type=Path)),
    ):  # fmt: skip
        command = decorate(command)
    return command


@imports.command()
@_import_options
def contacts(
    database: Path, file: Path, *, ignore_unknown: bool, strict: bool, refused: Path | None, as_json: bool
) -> None:
    """Put the contacts of FILE (CSV with a header, or Parquet) into DB, which is made when it is not there.

    The header names columns of the table contacts, in any order and case: id, email, zip_code, state, birth_date,
    effective_date, phone_number, and others that the table has. A line with an id changes that contact or adds it; a line
    without one changes the contact with its e-mail address, or adds one. A column that FILE does not have stays as it is, a
    blank cell empties the value. Nobody is removed.

    A line without a valid id or address, with a date that is none, or whose id (without an id: address) stands in FILE
    already, is refused with its number and the reason, and the exit code is 2; the good ones go in, in one transaction.
    When FILE as a whole is no good, DB keeps every byte. Triggers of DB are not run.

    Example: mailtide import contacts contacts.db export.csv --refused refused.txt
    """
    from mailtide.importing.load import CONTACTS

    _import(database, file, CONTACTS, ignore_unknown=ignore_unknown, strict=strict, refused=refused, as_json=as_json)


@imports.command()
@_import_options
def suppressions(
    database: Path, file: Path, *, ignore_unknown: bool, strict: bool, refused: Path | None, as_json: bool
) -> None:
    """Add the addresses of FILE (CSV or Parquet) to those of DB that get no mail.

    The header names the column email, and others that the table suppressions has; a file of one column may do without a
    header. Addresses compare without regard to case; those that stand already stay as they are. Nobody is removed. The
    next run plans no mail for them, and `mailtide due` withholds at once what is planned. Bad lines as with `import contacts`.

    Example: mailtide import suppressions contacts.db unsubscribed.csv
    """
    from mailtide.importing.load import SUPPRESSIONS

    _import(
        database, file, SUPPRESSIONS, ignore_unknown=ignore_unknown, strict=strict, refused=refused, as_json=as_json
    )


def _import(
    database: Path, file: Path, kind: "Kind", *, ignore_unknown: bool, strict: bool, refused: Path | None, as_json: bool
) -> None:
    from mailtide.importing.load import import_file

    if refused is not None:
        check_out_file(refused)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        say = _Steps(bar, file)
        with naming(database):
            try:
                report = import_file(
                    database, file, kind, ignore_unknown=ignore_unknown, strict=strict,
                    progress=say,
                    keep_refusals=lambda staged: _keep(staged, refused),
                )  # fmt: skip
            except InputError as error:
                if isinstance(error, DatabaseError) or str(file) in str(error):
                    raise
                raise InputError(f"{file}: {error}") from error
    _say(report, kind.table, strict=strict, as_json=as_json)
    if report.refused:
        sys.exit(2)


class _Steps:
    """Shows a step of the import when it begins, and how far it is."""

    def __init__(self, bar: Progress, file: Path) -> None:
        self._bar, self._file = bar, file
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, step: str, done: int) -> None:
        if step not in self._tasks:
            total = self._file.stat().st_size if step == "read" else None
            self._tasks[step] = self._bar.add_task("writing" if step == "write" else "reading", total=total)
        self._bar.update(self._tasks[step], completed=done)


def _keep(staged: "Staging", path: Path | None) -> None:
    if path is not None:
        with out_file(path) as file:
            for line, reason in staged.refused():
                file.write(f"line {line}: {reason}\n".encode())


def _say(report: "ImportReport", table: str, *, strict: bool, as_json: bool) -> None:
    refused = [f"line {refusal.number}: {refusal.reason}" for refusal in report.first_refusals]
    if as_json:
        click.echo(json.dumps(asdict(report) | {"first_refusals": refused}))
        return
    for line in refused:
        click.echo(f"mailtide: {''.join(char if char.isprintable() else '?' for char in line)}", err=True)
    if report.refused > len(refused):
        click.echo(f"mailtide: and {report.refused - len(refused):,} more (--refused OUT lists all)", err=True)
    if report.without_state:
        lines = counted(report.without_state, "line")
        click.echo(f"mailtide: {lines} without a state or ZIP code that the rules know", err=True)
    if strict and report.refused:
        click.echo(f"Nothing was imported: {counted(report.refused, 'line')} refused.")
        return
    click.echo(
        f"{table}: {report.inserted:,} added, {report.updated:,} changed, {report.unchanged:,} as they were; "
        f"{counted(report.refused, 'line')} refused."
    )
