"""`mailtide sync`: a local file and the published schedule of an organisation, brought together."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from mailtide.cli.cloud import check_org, cloud_command
from mailtide.cli.files import counted, naming, size_in_words
from mailtide.errors import InputError

if TYPE_CHECKING:
    from mailtide.database.changeset_merge import Applied
    from mailtide.sync.pull import Pulled

_WAYS = {
    "new": "fetched as a new file",
    "changesets": "brought up to date by changesets",
    "blocks": "brought up to date from the blocks that differ",
    "whole": "brought up to date from the whole published file",
}


@click.group()
def sync() -> None:
    """Bring a local file to the published schedule, and back."""


@sync.command()
@click.argument("changeset", metavar="FILE.changeset", type=click.Path(path_type=Path))
@click.argument("database", metavar="DB", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def apply(changeset: Path, database: Path, *, as_json: bool) -> None:
    """Bring the changeset of a run into DB, whole or not at all; a second time does nothing.

    It must follow on the last run in DB. Mails that DB has sent, cancelled or failed meanwhile stay as they are, and are not
    planned again; planned mails become the run's. DB is locked meanwhile.

    Example: mailtide sync apply 7abd3c7bebca4a1f8d67.changeset contacts.db
    """
    from mailtide.database.changeset_apply import apply_file

    if not changeset.is_file():
        raise InputError(f"There is no file {changeset}.")
    with naming(database):
        done = apply_file(changeset, database)
    if as_json:
        click.echo(json.dumps(asdict(done)))
        return
    if done.already:
        click.echo(f"{database} has the changes of run {done.run} already; nothing was written.")
        return
    click.echo(f"{database}: run {done.run} of {done.as_of}: {_changes(done)}.")
    _show_conflicts(done)


@sync.command()
@click.argument("org")
@click.argument("database", metavar="DB", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def pull(org: str, database: Path, *, as_json: bool) -> None:
    """Bring DB to the published schedule of organisation ORG; where there is no DB, fetch it.

    Only what is missing travels: the changesets since the last run in DB, or else the blocks of the published file that differ.
    A DB that is there keeps its contacts and all other tables; mails in its history stay as they are. Needs MAILTIDE_BUCKET
    and AWS credentials.

    Example: mailtide sync pull acme contacts.db
    """
    from mailtide.bootstrap import bucket
    from mailtide.sync.pull import pull as carry_out

    check_org(org)
    with naming(database), _progress(quiet=as_json) as progress:
        done = carry_out(bucket(), org, database, progress)
    click.echo(json.dumps(asdict(done)) if as_json else _pulled(database, done))
    if not as_json:
        _show_conflicts(done)


@sync.command()
@click.argument("org")
@click.argument("database", metavar="DB", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def push(org: str, database: Path, *, as_json: bool) -> None:
    """Put DB, with its new contacts and history, in the place of the database of organisation ORG; this starts a run.

    DB may be in use: a consistent copy is taken. It must be based on the published version, which is replaced only if it still
    stands; parts of 5 MB and more that are the same are copied inside the bucket. Needs MAILTIDE_BUCKET and AWS credentials.

    Example: mailtide sync push acme contacts.db
    """
    from mailtide.bootstrap import parts, services
    from mailtide.sync.push import push as carry_out

    check_org(org)
    with naming(database), _progress(quiet=as_json) as progress:
        done = carry_out(services(), parts(), org, database, progress)
    sent, size = size_in_words(done.sent_bytes), size_in_words(done.size_bytes)
    text = f"Pushed {database} to {done.key}: {sent} of {size} were sent; its run has begun."
    click.echo(json.dumps(asdict(done)) if as_json else text)


def _pulled(database: Path, done: "Pulled") -> str:
    if done.way == "current":
        return f"{database} has the published schedule already (run {done.run})."
    moved = f"{size_in_words(done.moved_bytes)} of {size_in_words(done.size_bytes)} were fetched"
    changes = "" if done.way == "new" else f"; {_changes(done)}"
    what = f"{counted(done.changesets, 'changeset')}, " if done.changesets else ""
    return f"{database} was {_WAYS[done.way]}: {what}{moved}{changes}."


def _changes(done: "Applied | Pulled") -> str:
    return f"{done.inserted:,} inserted, {done.updated:,} updated, {done.deleted:,} deleted"


def _show_conflicts(done: "Applied | Pulled") -> None:
    for count, sentence in (
        (done.kept, "mails were sent, cancelled or failed here meanwhile, and stay as they are"),
        (done.replaced, "planned mails had been changed here, and are the run's again"),
        (done.moved, "new mails got another id, as theirs was taken"),
        (done.gone, "planned mails that the run changed are not here any more"),
    ):
        if count:
            click.echo(f"{count:,} {sentence}.")


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    console = Console(stderr=True)
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=None)

        def show(what: str, done_bytes: int, total_bytes: int) -> None:
            bar.update(task, description=what, completed=done_bytes, total=total_bytes)

        yield show
