"""`mailtide due`: the mails of a day, handed to whatever sends them."""

import csv
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from mailtide.cli.files import day_of, naming
from mailtide.errors import SettingsError

if TYPE_CHECKING:
    from mailtide.database.due import DueMail

_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9][0-9 ().-]*")


@click.command()
@click.argument("database", metavar="DB", type=click.Path(path_type=Path))
@click.option("--on", required=True, metavar="YYYY-MM-DD", help="The day of sending.")
@click.option(
    "--format", "format_", type=click.Choice(["csv", "jsonl"]), help="CSV with a header (the default), or JSON Lines."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines, like --format jsonl.")
def due(database: Path, on: str, format_: str | None, *, as_json: bool) -> None:
    """Print the pre-scheduled mails of DB that are due on a day, with address, telephone and idempotency key.

    The key is the same for a contact, type, event date and campaign in every run, so that a sender that remembers keys
    sends nothing twice. A mail whose contact is gone, has no valid address or was suppressed since is withheld, and
    counted on stderr. In CSV a text that a spreadsheet would take for a formula has an apostrophe before it; JSON Lines
    have every text as it is. DB is not changed.

    Example: mailtide due contacts.db --on 2026-11-21 --format jsonl
    """
    from mailtide.database.due import DueMail, due_mails

    if as_json and format_ == "csv":
        raise SettingsError("--json and --format csv exclude each other.")
    day = day_of("--on", on)
    withheld: Counter[str] = Counter()
    with naming(database):
        mails = due_mails(database, day, withheld)
        if as_json or format_ == "jsonl":
            _write_lines(mails)
        else:
            _write_csv([field.name for field in fields(DueMail)], mails)
    if withheld:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(withheld.items()))
        click.echo(f"Withheld: {reasons}.", err=True)


def _write_lines(mails: Iterable["DueMail"]) -> None:
    stdout = _stdout()
    for mail in mails:
        stdout.write(json.dumps(asdict(mail)) + "\n")
    stdout.flush()


def _write_csv(names: list[str], mails: Iterable["DueMail"]) -> None:
    stdout = _stdout()
    writer = csv.writer(stdout, quoting=csv.QUOTE_ALL, lineterminator="\n")
    header_is_due = True
    for mail in mails:
        if header_is_due:
            writer.writerow(names)
            header_is_due = False
        writer.writerow([_harmless(value) for value in asdict(mail).values()])
    if header_is_due:
        writer.writerow(names)
    stdout.flush()


def _stdout() -> TextIO:
    """Standard output, in UTF-8 whatever the locale."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    return sys.stdout


def _harmless(value: object) -> object:
    """A cell that no spreadsheet runs as a formula (https://owasp.org/www-community/attacks/CSV_Injection)."""
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
