"""`mailtide due`: the mails of a day, handed to whatever sends them."""

import csv
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from mailtide.cli.files import day_of, naming
from mailtide.cli.out_file import out_file
from mailtide.errors import SettingsError

if TYPE_CHECKING:
    from mailtide.database.due import DueMail

    type _Write = Callable[[Iterable[DueMail], IO[bytes]], None]

_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠\t\r]")
_NUMBER = re.compile(r"[+-]?[0-9][0-9 ().-]*")


@click.command()
@click.argument("database", metavar="DB", type=click.Path(path_type=Path))
@click.option("--on", required=True, metavar="YYYY-MM-DD", help="The day of sending.")
@click.option(
    "--format", "format_", type=click.Choice(["csv", "jsonl", "parquet"]),
    help="CSV with a header (the default), JSON Lines, or Parquet (which needs mailtide[parquet]).",
)  # fmt: skip
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), metavar="FILE",
    help="Write into this file, whole or not at all, instead of standard output.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines, like --format jsonl.")
def due(database: Path, on: str, format_: str | None, output: Path | None, *, as_json: bool) -> None:
    """Print the pre-scheduled mails of DB that are due on a day, with address, telephone and idempotency key.

    The key is the same for a contact, type, event date and campaign in every run, so that a sender that remembers keys
    sends nothing twice. A mail whose contact is gone, has no valid address or was suppressed since is withheld, and
    counted on stderr. In CSV a text that a spreadsheet would take for a formula has an apostrophe before it; JSON Lines
    and Parquet have every text as it is. DB is not changed.

    Example: mailtide due contacts.db --on 2026-11-21 --format parquet -o due.parquet
    """
    from mailtide.database.due import due_mails

    if as_json and format_ not in (None, "jsonl"):
        raise SettingsError(f"--json and --format {format_} exclude each other.")
    write = _writer("jsonl" if as_json else format_ or "csv", to_stdout=output is None)
    day = day_of("--on", on)
    withheld: Counter[str] = Counter()
    with naming(database), _sink(output) as sink:
        write(due_mails(database, day, withheld), sink)
        sink.flush()
    if withheld:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(withheld.items()))
        click.echo(f"Withheld: {reasons}.", err=True)


def _writer(format_: str, *, to_stdout: bool) -> "_Write":
    if format_ != "parquet":
        return _write_lines if format_ == "jsonl" else _write_csv
    from mailtide.database.due_parquet import write_parquet

    if to_stdout and sys.stdout.isatty():
        raise SettingsError("Parquet is not for a terminal; name a file with --output.")
    return write_parquet


@contextmanager
def _sink(output: Path | None) -> Iterator[IO[bytes]]:
    if output is None:
        yield sys.stdout.buffer
        return
    with out_file(output) as file:
        yield file


def _write_lines(mails: Iterable["DueMail"], sink: IO[bytes]) -> None:
    for mail in mails:
        sink.write(f"{json.dumps(asdict(mail))}\n".encode())


def _write_csv(mails: Iterable["DueMail"], sink: IO[bytes]) -> None:
    from mailtide.database.due import DueMail

    line = io.StringIO()
    writer = csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(field.name for field in fields(DueMail))
    for mail in mails:
        writer.writerow([_harmless(value) for value in asdict(mail).values()])
        # The header goes out with the first mail, so that a file that cannot be read prints nothing.
        sink.write(_taken(line))
    sink.write(_taken(line))


def _taken(line: io.StringIO) -> bytes:
    text = line.getvalue()
    line.seek(0)
    line.truncate()
    return text.encode()


def _harmless(value: object) -> object:
    """A cell that no spreadsheet runs as a formula (https://owasp.org/www-community/attacks/CSV_Injection)."""
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
