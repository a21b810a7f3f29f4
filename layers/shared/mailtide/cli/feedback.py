"""`mailtide feedback`: what became of the mails, from files of whatever sends them."""

import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from mailtide.cli.files import counted, naming, rules_from
from mailtide.contracts import MAX_FEEDBACK_BYTES, FeedbackReport
from mailtide.errors import InputError


@click.command()
@click.argument("database", metavar="DB", type=click.Path(path_type=Path))
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--rules", default="default", show_default=True, metavar="FILE|default|origin",
    help="The rules, whose time zone says on which day something happened.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the counts and the first refused lines as JSON.")
def feedback(database: Path, files: tuple[Path, ...], rules: str, *, as_json: bool) -> None:
    """Fold what became of mails into DB: each FILE (JSON Lines or CSV, by its ending) once, all in one transaction.

    A line says what happened (state: sent, delivered, bounced, clicked, answered, unsubscribed), when (at), and to which
    mail (the idempotency_key of `mailtide due`, or contact_id, email_type, event_date and campaign_instance_id). A file that
    was folded in before, by its name and content, is passed over. Refused lines are listed with the reason, and the exit code
    is 2; the good ones go in. Files in the bucket, below orgs/ORG/feedback/, are folded in by the next run instead.

    Example: mailtide feedback contacts.db sent-2026-11-21.jsonl
    """
    from mailtide.feedback.fold import DroppedFile, fold_in

    effective = rules_from(rules)
    now = datetime.now(UTC)
    dropped = [DroppedFile(path, path.name, _checked_md5(path)) for path in files]
    with naming(database):
        report = fold_in(database, dropped, effective, run_id=f"local-{now:%Y%m%dT%H%M%S%fZ}", moment=now)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        _say(report)
    if report.problems:
        sys.exit(2)


def _checked_md5(path: Path) -> str:
    """What the ETag of the file would be in a bucket."""
    if path.suffix.lower() not in (".jsonl", ".csv"):
        raise InputError(f"{path} is no feedback file: its name must end in .jsonl or .csv.")
    if not path.is_file():
        raise InputError(f"{path} is no file." if path.exists() else f"There is no file {path}.")
    if path.stat().st_size > MAX_FEEDBACK_BYTES:
        raise InputError(f"{path} is larger than {MAX_FEEDBACK_BYTES >> 20} MiB; split it.")
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _say(report: FeedbackReport) -> None:
    for problem in report.problems:
        click.echo(f"mailtide: {''.join(char if char.isprintable() else '?' for char in problem)}", err=True)
    if report.refused > len(report.problems):
        click.echo(f"mailtide: and {report.refused - len(report.problems):,} more", err=True)
    for file in report.files:
        click.echo(
            f"{file.name}: {file.applied:,} applied, {file.unchanged:,} known already; "
            f"{counted(file.refused, 'line')} refused."
        )
    if report.known:
        click.echo(f"{counted(report.known, 'file')} folded in before; nothing was done again.")
