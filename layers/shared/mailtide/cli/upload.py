"""`mailtide upload`: a consistent copy of a live database goes into the bucket, and so starts a run."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from mailtide.cli.cloud import check_org, cloud_command
from mailtide.cli.files import naming
from mailtide.cli.names import org_names


@click.command()
@click.argument("org", shell_complete=org_names)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def upload(org: str, file: Path, as_json: bool) -> None:
    """Put the database FILE of organisation ORG into the bucket, which starts a run.

    The file may be in use: a consistent copy is taken first (SQLite's backup), with what stands in its -wal. Needs
    MAILTIDE_BUCKET and AWS credentials.
    """
    from mailtide.bootstrap import bucket
    from mailtide.database.snapshot import consistent_copy
    from mailtide.runs import keys

    check_org(org)
    with TemporaryDirectory(prefix="mailtide-upload-") as folder:
        copy = Path(folder) / "contacts.db"
        with naming(file):
            consistent_copy(file, copy)
        size_bytes = copy.stat().st_size
        target = bucket()
        with _progress(as_json) as progress:
            task = progress.add_task(f"{file.name} → {org}", total=size_bytes)
            target.put_file(keys.source(org), copy, lambda sent: progress.update(task, advance=sent))
        info = target.head(keys.source(org))
    etag = info.etag if info else None
    facts = {"org": org, "bucket": target.name, "key": keys.source(org), "size_bytes": size_bytes, "etag": etag}
    click.echo(json.dumps(facts) if as_json else f"Uploaded {size_bytes:,} bytes to s3://{target.name}/{facts['key']}.")


def _progress(quiet: bool) -> Progress:
    console = Console(stderr=True)
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True)
