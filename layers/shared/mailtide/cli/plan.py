"""`mailtide plan`: which machines a run would get, how long it would take and what it would cost."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mailtide.cli.cloud import cloud_command
from mailtide.cli.files import counted, naming, size_in_words
from mailtide.cli.old_figures import BYTES_A_CONTACT
from mailtide.errors import InputError

if TYPE_CHECKING:
    from mailtide.cli.old_figures import Claim
    from mailtide.runs.sizing import Sizing
    from mailtide.runs.speeds import Speeds
    from mailtide.settings import Settings

ROWS = (1_000, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_000_000, 3_000_000, 5_000_000, 10_000_000)
"""Contacts of the whole table."""


@click.command()
@click.argument("db", required=False, type=click.Path(path_type=Path))
@click.option(
    "--contacts", type=click.IntRange(0, 100_000_000), help="Plan for this many contacts, without a database."
)
@click.option("--table", "whole_table", is_flag=True, help="Print the whole table, as without DB and --contacts.")
@click.option(
    "--measured",
    is_flag=True,
    help="Count with what machines were measured to do; needs MAILTIDE_BUCKET and credentials.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def plan(db: Path | None, contacts: int | None, *, whole_table: bool, measured: bool, as_json: bool) -> None:
    """Say which machines a run of the database DB (or of --contacts N) would get, and what time and money it would take.

    DB is not read whole: like the function in the cloud this reads its header, its schema and a sample of its pages. Only a
    DB with a -wal file beside it is copied whole, so that what stands in the -wal counts.

    Without DB and --contacts: the table from 1,000 to 10,000,000 contacts, and which figures of the older system's documents
    it bears out.
    """
    settings, speeds = _speeds(measured=measured)
    if whole_table or (db is None and contacts is None):
        if db is not None or contacts is not None:
            raise InputError("--table is the whole table; leave out DB and --contacts.")
        _print_table(settings, speeds, as_json=as_json)
        return
    if db is not None and contacts is not None:
        raise InputError("Name a database or give --contacts, one of the two.")
    facts: dict[str, Any] = {}
    if db is not None:
        contacts, size_bytes, facts = _inspect(db)
    else:
        size_bytes = (contacts or 0) * BYTES_A_CONTACT
    sizing = _size(settings, speeds, contacts or 0, size_bytes, can_be_cut=facts.pop("can_be_cut", True))
    facts = {"contacts": contacts, "size_bytes": size_bytes} | facts
    next_day = _next_day(settings, speeds, sizing, contacts or 0, size_bytes)
    _print(facts | _facts(sizing) | {"next_day": next_day}, as_json)


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


def _size(
    settings: "Settings", speeds: "Speeds", contacts: int, size_bytes: int, *, can_be_cut: bool = True
) -> "Sizing":
    from mailtide.runs.sizing import size_run

    most = None if can_be_cut else 0
    return size_run(settings, contacts=contacts, size_bytes=size_bytes, speeds=speeds, max_chunks=most)


def _next_day(
    settings: "Settings", speeds: "Speeds", sizing: "Sizing", contacts: int, size_bytes: int
) -> dict[str, Any] | None:
    from dataclasses import asdict

    from mailtide.runs.pool.estimate import next_day

    told = next_day(settings, speeds, sizing, contacts=contacts, size_bytes=size_bytes)
    return None if told is None else {**asdict(told), "pays_from_runs": told.pays_from_runs}


def _facts(sizing: "Sizing") -> dict[str, Any]:
    return {
        "machine": str(sizing.sizes[0]),
        "threads": sizing.threads,
        "chunks": sizing.chunks,
        "chunk_machine": str(sizing.chunk_sizes[0]) if sizing.chunks else None,
        "expected_s": sizing.expected_s,
        "expected_usd": sizing.expected_usd,
        "machine_usd": sizing.machine_usd,
        "meets_deadline": sizing.meets_deadline,
    }


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


def _print_table(settings: "Settings", speeds: "Speeds", *, as_json: bool) -> None:
    from mailtide.cli.old_figures import claims

    sizings = {contacts: _size(settings, speeds, contacts, contacts * BYTES_A_CONTACT) for contacts in ROWS}
    found = list(claims(settings, speeds))
    if as_json:
        rows = [{"contacts": contacts, **_facts(sizing)} for contacts, sizing in sizings.items()]
        told = [_claim_facts(claim) for claim in found]
        click.echo(json.dumps({"deadline_s": settings.deadline_s, "runs": rows, "older_figures": told}))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title="Runs by size", title_justify="left")
    for name in ("contacts", "machines", "chunks", "seconds", "dollars", "of them machines", ""):
        table.add_column(name, justify="left" if name in {"machines", ""} else "right")
    for contacts, sizing in sizings.items():
        table.add_row(f"{contacts:,}", *_cells(sizing, settings.deadline_s))
    console.print(table)
    _print_claims(console, found)


def _cells(sizing: "Sizing", deadline_s: int) -> list[str]:
    machines = _short(str(sizing.sizes[0]))
    if sizing.chunks:
        machines = f"{sizing.chunks} × {_short(str(sizing.chunk_sizes[0]))} + {machines}"
    late = "" if sizing.meets_deadline else f"over {deadline_s} s"
    dollars = (f"{sizing.expected_usd:.5f}", f"{sizing.machine_usd:.6f}")
    return [machines, str(sizing.chunks or "–"), f"{sizing.expected_s:.1f}", *dollars, late]


def _print_claims(console: Any, found: "list[Claim]") -> None:  # noqa: ANN401 - rich's console, which is imported late
    from rich.table import Table

    for document in dict.fromkeys(claim.document for claim in found):
        title = f"Figures of {document} and what is counted here"
        table = Table("figure", "theirs", "here", "", title=title, title_justify="left")
        for claim in (claim for claim in found if claim.document == document):
            table.add_row(claim.what, claim.theirs_text, claim.ours_text, claim.verdict)
        console.print(table)
    reproduced = sum(claim.is_reproduced for claim in found)
    console.print(
        f"{reproduced} of {len(found)} figures are reproduced, {len(found) - reproduced} corrected.", highlight=False
    )


def _claim_facts(claim: "Claim") -> dict[str, object]:
    return {
        "document": claim.document,
        "figure": claim.what,
        "unit": claim.unit,
        "theirs": list(claim.theirs),
        "here": list(claim.ours),
        "verdict": claim.verdict,
    }


def _short(size: str) -> str:
    return size.partition(",")[0]
