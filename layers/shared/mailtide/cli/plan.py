"""`mailtide plan`: which machines a run would get, how long it would take and what it would cost."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mailtide.cli.cloud import cloud_command
from mailtide.cli.files import counted, naming, size_in_words
from mailtide.cli.old_figures import BYTES_A_CONTACT
from mailtide.cli.plan_table import facts_of, print_whole_table, size, whole_table
from mailtide.errors import InputError

if TYPE_CHECKING:
    from mailtide.runs.sizing import Sizing
    from mailtide.runs.speeds import Speeds
    from mailtide.settings import Settings


@click.command()
@click.argument("db", required=False, type=click.Path(path_type=Path))
@click.option(
    "--contacts", type=click.IntRange(0, 100_000_000), help="Plan for this many contacts, without a database."
)
@click.option(
    "--table", "only_table", is_flag=True, help="Print nothing but the whole table, as without DB and --contacts."
)
@click.option(
    "--measured",
    is_flag=True,
    help="Count with what machines were measured to do; needs MAILTIDE_BUCKET and credentials.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def plan(db: Path | None, contacts: int | None, *, only_table: bool, measured: bool, as_json: bool) -> None:
    """Say which machines a run of the database DB (or of --contacts N) would get, and what time and money it would take.

    DB is not read whole: like the function in the cloud this reads its header, its schema and a sample of its pages. Only a
    DB with a -wal file beside it is copied whole, so that what stands in the -wal counts.

    Without DB: also the table from 1,000 to 10,000,000 contacts, and which figures of the older system's documents it bears
    out.
    """
    settings, speeds = _speeds(measured=measured)
    if only_table or (db is None and contacts is None):
        if db is not None or contacts is not None:
            raise InputError("--table is the whole table; leave out DB and --contacts.")
        if as_json:
            click.echo(json.dumps(whole_table(settings, speeds)))
        else:
            print_whole_table(settings, speeds)
        return
    if db is not None and contacts is not None:
        raise InputError("Name a database or give --contacts, one of the two.")
    facts: dict[str, Any] = {}
    if db is not None:
        contacts, size_bytes, facts = _inspect(db)
    else:
        size_bytes = (contacts or 0) * BYTES_A_CONTACT
    sizing = size(settings, speeds, contacts or 0, size_bytes, can_be_cut=facts.pop("can_be_cut", True))
    facts = {"contacts": contacts, "size_bytes": size_bytes} | facts
    next_day = _next_day(settings, speeds, sizing, contacts or 0, size_bytes)
    _print(facts | facts_of(sizing) | {"next_day": next_day}, as_json)
    if db is None and not as_json:
        print_whole_table(settings, speeds, contacts)


def _speeds(*, measured: bool) -> "tuple[Settings, Speeds]":
    from mailtide.runs.speeds import Speeds
    from mailtide.settings import load_estimate_settings

    if measured:
        return _measured_speeds()
    settings = load_estimate_settings()
    return settings, Speeds(settings)


@cloud_command
def _measured_speeds() -> "tuple[Settings, Speeds]":
    from mailtide.bootstrap import bucket
    from mailtide.runs.calibration import read_calibration
    from mailtide.runs.speeds import Speeds
    from mailtide.settings import load_settings

    settings = load_settings()
    return settings, Speeds(settings, read_calibration(bucket()))


def _next_day(
    settings: "Settings", speeds: "Speeds", sizing: "Sizing", contacts: int, size_bytes: int
) -> dict[str, Any] | None:
    from dataclasses import asdict

    from mailtide.runs.pool.estimate import next_day

    told = next_day(settings, speeds, sizing, contacts=contacts, size_bytes=size_bytes)
    return None if told is None else {**asdict(told), "pays_from_runs": told.pays_from_runs}


def _inspect(db: Path) -> tuple[int, int, dict[str, object]]:
    from mailtide.database.inspect_local import inspect_file

    with naming(db):
        read = inspect_file(db)
    facts = {
        "contacts_are": "estimated",
        "inspection_requests": read.requests,
        "inspection_bytes": read.bytes_read,
        "can_be_cut": read.ids_are_rowids,
    }
    return read.contacts_estimate, read.size_bytes, {**facts}


def _print(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts))
        return
    contacts = f"{facts['contacts']:,}"
    if "contacts_are" in facts:
        read = f"{facts['inspection_bytes']:,} bytes in {counted(facts['inspection_requests'], 'read')}"
        contacts = f"about {contacts}, estimated from {read}"
    machine = f"{facts['machine']}, {counted(facts['threads'], 'thread')}"
    if facts["chunks"]:
        machine = f"{facts['chunks']} × {facts['chunk_machine']} for chunks, then {machine}"
    click.echo(f"contacts: {contacts}")
    click.echo(f"database: {size_in_words(facts['size_bytes'])}")
    click.echo(f"machine:  {machine}")
    click.echo(f"expected: {facts['expected_s']:.1f} s and ${facts['expected_usd']:.4f}")
    if facts["next_day"]:
        _print_next_day(facts["next_day"])


def _print_next_day(told: dict[str, Any]) -> None:
    runs = told["pays_from_runs"]
    when = f"pays from {counted(runs, 'run')} a month" if runs else "never pays"
    click.echo(
        f"next day: {told['new_s']:.1f} s and ${told['new_usd']:.4f} on a new machine; {told['kept_s']:.1f} s and "
        f"${told['kept_usd']:.4f} on a kept one that has the file\n"
        f"kept:     ${told['kept_usd_per_month']:.2f} a month; for this organisation alone that {when}"
    )
