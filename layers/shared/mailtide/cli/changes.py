"""How the commands show what differs between two schedules."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from mailtide.database.schedule_changes import ScheduleChanges

MAX_DAYS = 31
_KINDS = {
    "inserted": "inserted", "deleted": "deleted", "moved": "moved", "status_changed": "new status",
    "changed": "otherwise changed",
}  # fmt: skip
_DAY_KINDS = {
    "inserted": "inserted", "deleted": "deleted", "moved_away": "moved away", "moved_here": "moved here",
    "status_changed": "new status", "changed": "otherwise changed",
}  # fmt: skip


def show_changes(changes: "ScheduleChanges", console: Console) -> None:
    """Print the changes by type, by status and by day, of the days the first MAX_DAYS."""
    counts = ", ".join(f"{getattr(changes, name):,} {title}" for name, title in _KINDS.items())
    console.print(f"Planned mails: {counts}, {changes.same:,} the same")
    if not changes.by_day:
        return
    console.print("By type:")
    console.print(_table("mail type", changes.by_type, _KINDS))
    if changes.status_changes:
        statuses = Table("status", "mails")
        for name, count in changes.status_changes.items():
            statuses.add_row(printable(name), f"{count:,}")
        console.print(statuses)
    if changes.column_changes:
        columns = Table("other column", "mails")
        for name, count in changes.column_changes.items():
            columns.add_row(name, f"{count:,}")
        console.print(columns)
    console.print("By day of sending:")
    days = dict(list(changes.by_day.items())[:MAX_DAYS])
    console.print(_table("day", days, _DAY_KINDS))
    if len(changes.by_day) > MAX_DAYS:
        console.print(f"… and {len(changes.by_day) - MAX_DAYS:,} more days; --json has them all.")


def printable(text: str, limit: int = 80) -> Text:
    """A text from a file of somebody's, without anything that a terminal would obey."""
    return Text("".join(char if char.isprintable() else "?" for char in text[:limit]))


def _table(title: str, counts: dict[str, dict[str, int]], kinds: dict[str, str]) -> Table:
    table = Table(title)
    for kind in kinds.values():
        table.add_column(kind, justify="right")
    for name, row in counts.items():
        table.add_row(printable(name), *(f"{row.get(kind, 0):,}" for kind in kinds))
    return table
