"""`mailtide calibrate`: how fast this machine does the pass and reaches the bucket; planning counts with it."""

import json
import os
import secrets
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from mailtide.cli.cloud import cloud_command
from mailtide.cli.files import counted
from mailtide.errors import InputError, SettingsError

if TYPE_CHECKING:
    from mailtide.machine.calibrate import Calibrated
    from mailtide.machines import MachineSize
    from mailtide.settings import Settings

PROBE_BYTES = 32 << 20


@click.command()
@click.option(
    "--contacts",
    type=click.IntRange(10_000, 10_000_000),
    default=100_000,
    show_default=True,
    help="How many to invent.",
)
@click.option(
    "--rounds", type=click.IntRange(1, 99), default=3, show_default=True, help="The median of so many counts."
)
@click.option(
    "--threads", type=click.IntRange(1, 32), help="Threads of each task; the machine's processors if left out."
)
@click.option("--chunks", type=click.IntRange(2, 64), default=4, show_default=True, help="Chunks that the merge gets.")
@click.option(
    "--machine",
    "name",
    metavar="NAME",
    help="Which machine of the size table this is, such as performance-2x; guessed if left out.",
)
@click.option("--store", "stores", is_flag=True, help="Keep the figures in the bucket, where planning finds them.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@cloud_command
def calibrate(
    *, contacts: int, rounds: int, threads: int | None, chunks: int, name: str | None, stores: bool, as_json: bool
) -> None:
    """Measure the real pass on this machine over an invented database: as one machine, as chunks and as their merge.

    With MAILTIDE_BUCKET and credentials the speed between the bucket and this machine is measured too, with an object of
    32 MB that is deleted again. --store needs both. Finished runs add their own figures, so that is only for a first guess.
    """
    from mailtide.machine.calibrate import calibrate as measure
    from mailtide.machine.memory import keep_freed_memory
    from mailtide.settings import load_estimate_settings, load_settings

    # As on the machines.
    keep_freed_memory()
    try:
        settings, with_bucket = load_settings(), True
    except SettingsError as error:
        if stores or "MAILTIDE_BUCKET is missing" not in str(error):
            raise
        settings, with_bucket = load_estimate_settings(), False
    size = _size(settings, name)
    with TemporaryDirectory(prefix="mailtide-calibrate-") as folder:
        work = Path(folder)
        found = measure(work, contacts=contacts, threads=threads or size.cpus, chunks=chunks, rounds=rounds)
        transfer = _transfer(work) if with_bucket else None
    stored = _store(size, found, transfer) if stores else None
    facts = _facts(size, threads or size.cpus, found, transfer) | ({"stored": stored} if stores else {})
    if as_json:
        click.echo(json.dumps(facts))
    else:
        _print(facts)


def _size(settings: "Settings", name: str | None) -> "MachineSize":
    """The machine that this one is taken for: the largest of the table that has no more processors than this."""
    sizes = {str(tier.size).partition(",")[0]: tier.size for tier in settings.size_table}
    if name is not None:
        if name not in sizes:
            raise InputError(f"The size table has no {name}; it has {', '.join(sizes)}.")
        return sizes[name]
    cpus = os.process_cpu_count() or 1
    own = [size for size in sizes.values() if size.cpu_kind == "performance"] or list(sizes.values())
    fitting = [size for size in own if size.cpus <= cpus]
    return max(fitting, key=lambda size: size.cpus) if fitting else min(own, key=lambda size: size.cpus)


def _transfer(folder: Path) -> dict[str, float]:
    """Bytes a second into the bucket and out of it, by the ways that machines take."""
    from mailtide.bootstrap import bucket
    from mailtide.machine import transfer

    path, key = folder / "probe.bin", f"calibration/probe-{secrets.token_hex(8)}.bin"
    path.write_bytes(secrets.token_bytes(PROBE_BYTES))
    where = bucket()
    with transfer.make_client() as client:
        start_s = time.monotonic()
        try:
            put = where.presign_put(key, expires_s=600, create_only=False)
            etag, _, size_bytes = transfer.upload(client, put, path)
            stored_s = time.monotonic()
            get = where.presign_get(key, expires_s=600)
            transfer.download(client, get, path, etag=etag, size_bytes=size_bytes, part_bytes=None)
            fetched_s = time.monotonic()
        finally:
            where.delete(key)
    return {
        "deliver_bytes_per_s": round(PROBE_BYTES / (stored_s - start_s)),
        "fetch_bytes_per_s": round(PROBE_BYTES / (fetched_s - stored_s)),
        "bytes_per_s": round(2 * PROBE_BYTES / (fetched_s - start_s)),
    }


def _store(size: "MachineSize", found: "Calibrated", transfer: dict[str, float] | None) -> bool:
    from datetime import UTC, datetime

    from mailtide.bootstrap import bucket
    from mailtide.contracts import Sample
    from mailtide.runs.calibration import store_samples

    source, now = f"calibrate-{secrets.token_hex(8)}", datetime.now(UTC)
    samples = [
        Sample(
            source=f"{source}/{task.kind}",
            kind=task.kind,
            at=now,
            contacts=task.contacts,
            contacts_per_s=task.contacts_per_s,
            transfer_bytes_per_s=transfer["bytes_per_s"] if transfer else None,
        )
        for task in found.tasks
    ]
    return store_samples(bucket(), [(size, sample) for sample in samples])


def _facts(size: "MachineSize", threads: int, found: "Calibrated", transfer: dict[str, float] | None) -> dict[str, Any]:
    return {
        "machine": str(size),
        "threads": threads,
        "tasks": [
            {
                "kind": task.kind,
                "contacts": task.contacts,
                "seconds": task.seconds,
                "contacts_per_s": task.contacts_per_s,
            }
            for task in found.tasks
        ],
        "bytes_per_contact": {
            "database": round(found.bytes_per_contact.database, 1),
            "schedule": round(found.bytes_per_contact.schedule, 1),
            "candidates": round(found.bytes_per_contact.candidates, 1),
        },
        "start_up_s": found.start_up_s,
        "transfer": transfer,
    }


def _print(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    title = f"The pass as on {facts['machine']}, with {counted(facts['threads'], 'thread')}"
    table = Table("task", "step", title=title, title_justify="left")
    for name in ("seconds", "contacts a second"):
        table.add_column(name, justify="right")
    for task in facts["tasks"]:
        for step, taken in task["seconds"].items():
            speed = task["contacts_per_s"].get(step)
            what = f"{task['kind']} of {task['contacts']:,}"
            table.add_row(what, step, f"{taken:.3f}", "–" if speed is None else f"{speed:,.0f}")
    console.print(table)
    weights = ", ".join(f"{name} {count:g}" for name, count in facts["bytes_per_contact"].items())
    console.print(f"Bytes a contact: {weights}.", highlight=False)
    console.print(f"Start of the program: {facts['start_up_s']:.2f} s, after the machine has booted.", highlight=False)
    if facts["transfer"]:
        into, out = facts["transfer"]["deliver_bytes_per_s"], facts["transfer"]["fetch_bytes_per_s"]
        console.print(f"Bucket: {into / 1e6:,.1f} MB/s into it, {out / 1e6:,.1f} MB/s out of it.", highlight=False)
    if "stored" in facts:
        console.print(
            "Kept in the bucket." if facts["stored"] else "Not kept: a run wrote its own at the same time; try again."
        )
