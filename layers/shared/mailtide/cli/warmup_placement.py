"""What `mailtide warmup placement` shows a person."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from mailtide.warmup.reading.shown import HistoryDay, Placed, PlacementReport, guard_warnings

BARS = "▁▂▃▄▅▆▇█"


def show_placement(found: PlacementReport) -> None:
    """By provider, then the days, then who is held back."""
    console = Console(highlight=False, markup=False)
    if found.day is None:
        console.print("No day has been folded yet: mails must be read (imap_host) and a night go by.")
        return
    table = Table(
        "recipients at", title=f"Seven days to {found.day} (UTC)", title_justify="left", box=None, pad_edge=False
    )
    for name in ("inbox", "junk", "missing", "in the inbox", "sure of"):
        table.add_column(name, justify="right")
    for one in found.providers:
        table.add_row(one.name, *_cells(one))
    if len(found.providers) != 1:
        table.add_row("all", *_cells(found.total))
    console.print(table)
    console.print()
    _print_counts(console, found)
    if len(found.history) > 1:
        first, last = found.history[0], found.history[-1]
        console.print(
            f"Score: {_line(found.history)}  {_percent(first.share)} to {_percent(last.share)} since {first.day}"
        )
    if found.held:
        _show_held(console, found)
    if found.unread:
        _show_unread(console, found)


def _print_counts(console: Console, found: PlacementReport) -> None:
    console.print(f"Reports: {found.bounces:,} mails came back, {found.complaints:,} complaints.")
    console.print(
        f"Mailboxes: {found.mailboxes:,}; {found.slowed:,} slowed, {found.quarantined:,} quarantined, "
        f"{found.graduated:,} graduated."
    )
    for warning in guard_warnings(found.withheld, found.spared):
        console.print(warning)


def placement_lines(found: PlacementReport) -> Iterator[tuple[str, str]]:
    """Of `mailtide warmup status`; none before the first day that was folded."""
    if found.day is None:
        return
    seen = found.total.inbox + found.total.junk + found.total.missing
    if found.total.share is not None:
        yield "placement", f"{_percent(found.total.share)} of {seen:,} mails in the inbox (seven days to {found.day})"
    yield (
        "held back",
        f"{found.slowed:,} slowed, {found.quarantined:,} quarantined (mailtide warmup placement says why); "
        f"{found.graduated:,} graduated",
    )


def _cells(one: Placed) -> tuple[str, ...]:
    return (
        f"{one.inbox:,}",
        f"{one.junk:,}",
        f"{one.missing:,}",
        "" if one.share is None else _percent(one.share),
        f"{100 * one.low:.0f} to {100 * one.high:.0f} %",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _line(days: tuple[HistoryDay, ...]) -> str:
    return "".join(BARS[min(len(BARS) - 1, int(day.share * len(BARS)))] for day in days)


def _show_held(console: Console, found: PlacementReport) -> None:
    table = Table("mailbox", "user", "status", "why", title="Held back", title_justify="left", box=None, pad_edge=False)
    for row in found.held:
        status = "slowed" if row.status == "active" else row.status
        table.add_row(*map(_shown, (row.mailbox_id, row.user_id, status, row.why)))
    _print(console, table, found.held_total - len(found.held))


def _show_unread(console: Console, found: PlacementReport) -> None:
    table = Table("mailbox", "user", "why", title="Not read", title_justify="left", box=None, pad_edge=False)
    for row in found.unread:
        table.add_row(*map(_shown, (row.mailbox_id, row.user_id, row.why)))
    _print(console, table, found.unread_total - len(found.unread))


def _print(console: Console, table: Table, more: int) -> None:
    console.print()
    console.print(table)
    if more:
        console.print(f"and {more:,} more (--limit)")


def _shown(text: str) -> str:
    """Reasons and names come from others: nothing that a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in text)
