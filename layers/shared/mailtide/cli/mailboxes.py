"""`mailtide mailboxes`: import, export, list, check, pause and resume the mailboxes of the warm-up."""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mailtide.cli.cloud import cloud_command
from mailtide.cli.files import counted
from mailtide.cli.mailboxes_check import check
from mailtide.cli.mailboxes_domains import domains
from mailtide.cli.out_file import out_file
from mailtide.errors import InputError

if TYPE_CHECKING:
    from mailtide.cli.import_domains import ImportDomains
    from mailtide.warmup.contracts import Mailbox
    from mailtide.warmup.import_mailboxes import ImportReport

SHOWN_REFUSALS = 20


@click.group()
def mailboxes() -> None:
    """Import, export, list, check, pause and resume the mailboxes of the warm-up."""


mailboxes.add_command(check)
mailboxes.add_command(domains)


@mailboxes.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--from", "first_day", help="First day of new mailboxes' ramps (YYYY-MM-DD); tomorrow if left out.")
@click.option("--refused", type=click.Path(path_type=Path), help="Write every refused line and why into this file.")
@click.option(
    "--no-dns-check", is_flag=True, help="Leave the DNS of new domains to the deployment, which checks it within a day."
)
@click.option(
    "--resolver", metavar="HOST:PORT", help="DNS resolver to ask, by its IP address; this machine's own if left out."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def import_command(
    file: Path, first_day: str | None, refused: Path | None, no_dns_check: bool, resolver: str | None, as_json: bool
) -> None:
    """Put the mailboxes of the CSV file FILE into the pool, one a line.

    The first line names the columns: user_id, address and smtp_host; password, or refresh_token with token_url; and as you
    like mailbox_id, display_name, smtp_port, smtp_security, imap_host, imap_port, imap_security, engage_read, engage_rescue,
    engage_flag (yes or no each: what visits do with warm-up mail), auth, username, client_id, client_secret, start_count,
    increase_by, max_daily, timezone, window (09:00-17:30), weekdays (mon tue wed), first_day. A bad line is refused with its
    number and the reason (exit code 2); the good ones go in.

    Domains that were not checked within the last WARMUP_DNS_CHECK_DAYS are looked up in DNS (docs/mailbox-checks.md); whatever
    that finds, and whether it can be done, changes nothing about the import.
    """
    from mailtide.adapters.kms import KmsSecrets, make_kms_client
    from mailtide.cli.import_domains import ImportDomains
    from mailtide.planning import mailboxes as table
    from mailtide.warmup.import_mailboxes import import_mailboxes
    from mailtide.warmup.mailbox_csv import read_lines
    from mailtide.warmup.settings import load_warmup_resources, load_warmup_settings

    day = _day(first_day)
    secrets = KmsSecrets(make_kms_client(), load_warmup_resources().required("secrets_kms_key_id"))
    store, console = table(), Console(stderr=True)
    found = ImportDomains(asks_dns=not no_dns_check, resolver=resolver)
    if refused is not None:
        # What cannot be written is to be known before the mailboxes go in.
        refused.write_text("", encoding="utf-8")
    bars = Progress(console=console, transient=True, disable=not console.is_terminal)
    with _open(file) as text, bars as bar:
        total = sum(1 for _ in text) - 1
        text.seek(0)
        task = bar.add_task("mailboxes", total=max(total, 1))
        lines = read_lines(text, settings=load_warmup_settings(), first_day=day)
        report = import_mailboxes(
            lines, store, secrets, lambda done: bar.update(task, completed=done), look_up=found.look_up
        )
    found.finish()
    _say(report, refused, found, as_json=as_json)
    if report.refused:
        sys.exit(2)


def _day(text: str | None) -> date:
    try:
        return date.fromisoformat(text) if text else datetime.now(UTC).date() + timedelta(days=1)
    except ValueError:
        raise InputError(f"{text!r} is no day like 2026-11-21.") from None


@contextmanager
def _open(path: Path) -> Iterator[TextIO]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            yield text
    except UnicodeDecodeError:
        raise InputError(f"The file {path} is no text in UTF-8.") from None
    except OSError as error:
        raise InputError(f"The file {path} cannot be read: {error.strerror}.") from None


def _say(report: "ImportReport", file: Path | None, found: "ImportDomains", *, as_json: bool) -> None:
    refused = [f"line {refusal.number}: {refusal.reason}" for refusal in report.refused]
    if file is not None:
        file.write_text("".join(f"{line}\n" for line in refused), encoding="utf-8")
    if as_json:
        click.echo(json.dumps({"imported": report.imported, "refused": refused, **found.as_json(report)}))
        return
    for line in refused[:SHOWN_REFUSALS]:
        click.echo(f"mailtide: {line}", err=True)
    if len(refused) > SHOWN_REFUSALS:
        click.echo(f"mailtide: and {len(refused) - SHOWN_REFUSALS} more (--refused FILE lists all)", err=True)
    click.echo(f"{_boxes(report.imported)} imported, {counted(len(refused), 'line')} refused.")
    found.say(report)


def _boxes(count: int) -> str:
    """1 mailbox, 2 mailboxes"""
    return f"{count:,} mailbox{'' if count == 1 else 'es'}"


@mailboxes.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--user", help="Only this user's mailboxes; all if left out.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def export(file: Path, user: str | None, as_json: bool) -> None:
    """Write the mailboxes into the CSV file FILE (- for standard output), whole or not at all, without their secrets."""
    from mailtide.warmup.mailbox_csv import write_lines

    if str(file) == "-":
        write_lines(sys.stdout, _whole(user))
        return
    if file.exists():
        raise InputError(f"The file {file} exists already.")
    try:
        with out_file(file) as body:
            text = io.TextIOWrapper(body, encoding="utf-8", newline="", write_through=True)
            count = write_lines(text, _whole(user))
            text.detach()
    except OSError:
        raise InputError(f"The file {file} cannot be written.") from None
    click.echo(json.dumps({"written": count}) if as_json else f"{_boxes(count)} written to {file}.")


def _whole(user: str | None, status: str | None = None) -> "Iterator[Mailbox]":
    """Those of a user, or all; by id within a user, else in no order that says anything."""
    from itertools import batched

    from mailtide.planning import mailboxes as table

    if user is not None:
        yield from (mailbox for mailbox in table().of_user(user) if status in {None, mailbox.status})
        return
    wanted = (profile.mailbox_id for profile in table().profiles() if status in {None, profile.status})
    for chunk in batched(wanted, 100, strict=False):
        found = table().get_many(chunk)
        yield from (found[mailbox_id] for mailbox_id in chunk if mailbox_id in found)


@mailboxes.command(name="list")
@click.option("--user", help="Only this user's mailboxes; all if left out.")
@click.option(
    "--status", type=click.Choice(["active", "paused", "disconnected", "quarantined"]), help="Only those of one status."
)
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Rows of the table at most.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, of all, instead of a table.")
@cloud_command
def list_mailboxes(user: str | None, status: str | None, limit: int, as_json: bool) -> None:
    """The mailboxes of the pool."""
    found = _whole(user, status)
    if as_json:
        for mailbox in found:
            click.echo(mailbox.model_dump_json(include=_SHOWN))
        return
    shown = list(islice(found, limit))
    if not shown:
        click.echo("There are no such mailboxes." if user or status else "There are no mailboxes.")
        return
    table = Table()
    for name in ("mailbox", "user", "address", "status", "why", "ramp", "first day", "visits"):
        table.add_column(name, overflow="fold")
    for each in shown:
        ramp = f"{each.ramp.start_count} + {each.ramp.increase_by} to {each.ramp.max_daily}"
        cells = (
            each.mailbox_id,
            each.user_id,
            each.address,
            each.status,
            each.status_reason if each.status != "active" else each.held_back,
            ramp,
            str(each.first_day),
            _visits(each),
        )
        table.add_row(*cells)
    Console(markup=False).print(table)
    if next(found, None) is not None:
        click.echo(f"mailtide: there are more than these {limit:,} (--limit, --user, --status, --json)", err=True)


_SHOWN = {
    "mailbox_id", "user_id", "address", "status", "status_reason", "ramp", "window", "first_day", "imap", "engagement",
    "pace", "held_back", "graduated_on",
}  # fmt: skip


def _visits(mailbox: "Mailbox") -> str:
    """What visits do in it: nothing without an IMAP server."""
    if mailbox.imap is None:
        return ""
    return ", ".join(["look", *(name for name, wanted in mailbox.engagement if wanted)])


@mailboxes.command()
@click.argument("mailbox_ids", nargs=-1, required=True)
@click.option("--reason", default="paused by a person", show_default=True, help="Why, for those who look later.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def pause(mailbox_ids: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Pause MAILBOX_IDS: nothing is sent from them any more, from now on."""
    _set(mailbox_ids, "paused", reason, as_json=as_json)


@mailboxes.command()
@click.argument("mailbox_ids", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@cloud_command
def resume(mailbox_ids: tuple[str, ...], as_json: bool) -> None:
    """Make MAILBOX_IDS active again, whatever they were: today if they stand in today's roster, else tomorrow."""
    _set(mailbox_ids, "active", "", as_json=as_json)


def _set(mailbox_ids: tuple[str, ...], status: str, reason: str, *, as_json: bool) -> None:
    from typing import cast

    from mailtide.planning import mailboxes as table
    from mailtide.warmup.contracts import MailboxStatus

    missing = [
        mailbox_id
        for mailbox_id in mailbox_ids
        if not table().set_status(mailbox_id, cast("MailboxStatus", status), reason)
    ]
    count = len(mailbox_ids) - len(missing)
    verb = "is" if count == 1 else "are"
    click.echo(json.dumps({status: count}) if as_json else f"{_boxes(count)} {verb} {status}.")
    if missing:
        raise InputError(f"There is no mailbox {', '.join(missing)}.")
