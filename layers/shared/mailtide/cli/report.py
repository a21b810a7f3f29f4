"""`mailtide report`: a page about the schedule of a database."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from mailtide.cli.files import day_of, naming, rules_from, size_in_words
from mailtide.cli.out_file import check_out_file, out_file
from mailtide.errors import SettingsError


@click.command()
@click.argument("database", metavar="DB", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT.html", type=click.Path(path_type=Path))
@click.option("--as-of", metavar="YYYY-MM-DD", help="The day of the run; today in the rules' time zone when left out.")
@click.option(
    "--rules", default="default", show_default=True, metavar="FILE|default|origin",
    help="A YAML file of rules, or a packaged set: the default, or the windows of the older system.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 32), default=2, show_default=True, help="How many threads compute.")
@click.option("--json", "as_json", is_flag=True, help="Also print what the page says as JSON.")
def report(database: Path, out: Path, as_of: str | None, rules: str, threads: int, *, as_json: bool) -> None:
    """Write one page about the schedule of DB into OUT.html: what a run of that day plans, and how it came to that.

    Daily volume against the cap by type over a year, a calendar, skips by state and reason, what smoothing moved, data
    quality with ids as examples, and past runs. The page needs no network and runs no scripts; it shows no address, name
    or telephone number. OUT.html is written whole or not at all, and replaces nothing but an older page. DB is not
    changed. Needs mailtide[report].

    Example: mailtide report contacts.db report.html --as-of 2026-11-21
    """
    from mailtide.reporting.collect import collect_facts
    from mailtide.reporting.page import render

    effective = rules_from(rules)
    today = datetime.now(UTC).astimezone(ZoneInfo(effective.timezone)).date()
    day = today if as_of is None else day_of("--as-of", as_of)
    check_out_file(out)
    _check_replaces_a_page(out)
    with naming(database):
        facts = collect_facts(database, day, effective, threads)
    page = render(facts).encode()
    with out_file(out) as file:
        file.write(page)
    if as_json:
        click.echo(json.dumps(asdict(facts), indent=2))
    else:
        click.echo(f"{out}: {facts.planned:,} mails planned, {facts.skipped:,} skipped ({size_in_words(len(page))})")


def _check_replaces_a_page(out: Path) -> None:
    if not out.exists():
        return
    with out.open("rb") as file:
        start = file.read(100)
    if start and not start.lower().startswith(b"<!doctype html>"):
        raise SettingsError(f"{out} exists and is no HTML page; it is not overwritten.")
