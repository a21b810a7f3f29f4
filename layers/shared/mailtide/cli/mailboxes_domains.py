"""`mailtide mailboxes domains`: what the last checks of the mailboxes' domains found."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from mailtide.cli.cloud import cloud_command
from mailtide.cli.findings import print_findings
from mailtide.errors import InputError

if TYPE_CHECKING:
    from mailtide.warmup.domains import DomainRow


@click.command()
@click.argument("domain", required=False)
@click.option("--user", help="Only domains of this user's mailboxes.")
@click.option(
    "--all", "shows_all", is_flag=True, help="Sound domains too, not only those in which something is broken."
)
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Rows of the table at most.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, of all, instead of a table.")
@cloud_command
def domains(domain: str | None, user: str | None, shows_all: bool, limit: int, as_json: bool) -> None:
    """What the last checks found in the mailboxes' domains; with DOMAIN every finding in that one.

    The deployment checks a domain when it is new, and every WARMUP_DNS_CHECK_DAYS (docs/mailbox-checks.md); nothing is asked
    of DNS here. To look at a mailbox now: mailtide mailboxes check.
    """
    from mailtide.planning import planning
    from mailtide.warmup.domains import read_index

    rows = read_index(planning().bucket)
    if domain is not None:
        _say_one(domain.lower(), rows, as_json=as_json)
        return
    wanted = [row for row in rows.values() if (user is None or user in row.users) and (shows_all or row.broken)]
    if as_json:
        for row in wanted:
            click.echo(json.dumps(_as_json(row)))
        return
    _say_many(wanted, len(rows), limit, shows_all=shows_all)


def _say_one(name: str, rows: "dict[str, DomainRow]", *, as_json: bool) -> None:
    from mailtide.deliverability.domain_report import DomainReport
    from mailtide.doctor.finding import Finding
    from mailtide.planning import planning
    from mailtide.warmup import keys
    from mailtide.warmup.store import read

    report = read(planning().bucket, keys.domain(name), DomainReport) if name in rows else None
    if report is None:
        raise InputError(f"The domain {name} has not been checked: it has no mailboxes, or they are new.")
    if as_json:
        click.echo(report.model_dump_json())
        return
    row = rows[name]
    known = [name, _boxes(row), f"provider {row.provider or 'not known'}", f"checked {_when(row)}"]
    click.echo(f"{', '.join(part for part in known if part)}\n")
    print_findings([Finding(one.check, one.verdict, one.what, one.todo, name) for one in report.findings])


def _say_many(wanted: "list[DomainRow]", known: int, limit: int, *, shows_all: bool) -> None:
    if not wanted:
        click.echo(
            f"Nothing is broken in {known:,} domain{'' if known == 1 else 's'}." if known else "No domain is known."
        )
        return
    table = Table("domain", "mailboxes", "provider", "checked", "broken", "to look at", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for row in wanted[:limit]:
        broken = ", ".join(one.check for one in row.broken)
        table.add_row(
            row.domain,
            f"{row.mailboxes:,}" if row.mailboxes else "",
            row.provider,
            _when(row),
            broken,
            ", ".join(row.warnings),
        )
    Console(markup=False).print(table)
    if len(wanted) > limit:
        click.echo(f"mailtide: there are {len(wanted) - limit:,} more (--limit, --user, --json)", err=True)
    if not shows_all:
        click.echo(f"{len(wanted):,} of {known:,} domains; mailtide mailboxes domains DOMAIN says what to do.")


def _boxes(row: "DomainRow") -> str:
    """Empty until the next roster counts them."""
    if not row.mailboxes:
        return ""
    return f"{row.mailboxes:,} mailbox{'' if row.mailboxes == 1 else 'es'}"


def _when(row: "DomainRow") -> str:
    if not row.checked_ms:
        return "not yet"
    return datetime.fromtimestamp(row.checked_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _as_json(row: "DomainRow") -> dict[str, object]:
    return {**row._asdict(), "broken": [one._asdict() for one in row.broken]}
