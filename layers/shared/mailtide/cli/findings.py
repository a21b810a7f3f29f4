"""The table of what checks have found."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from mailtide.doctor.finding import Finding

_COLORS = {"ok": "green", "warning": "yellow", "broken": "bold red"}


def print_findings(findings: "Sequence[Finding]", seconds: Sequence[float] | None = None) -> None:
    """Verdicts in colour, what is so, and what to do about it; with `seconds` how long each check took."""
    console = Console(highlight=False, markup=False)
    table = Table("check", "verdict", *(["seconds"] if seconds else []), "what", box=None, pad_edge=False)
    if seconds:
        table.columns[2].justify = "right"
    for place, one in enumerate(findings):
        what = Text(_shown(one.what))
        if one.todo:
            what.append(f"\n→ {_shown(one.todo)}", style="cyan")
        took = [f"{seconds[place]:.2f}"] if seconds else []
        table.add_row(one.check, Text(one.verdict, style=_COLORS[one.verdict]), *took, what)
    console.print(table)
    counts = {verdict: sum(one.verdict == verdict for one in findings) for verdict in _COLORS}
    console.print(f"\n{counts['ok']} ok, {counts['warning']} to look at, {counts['broken']} broken.")


def _shown(text: str) -> str:
    """Without anything that a terminal would obey: names and reasons come from others."""
    return "".join(char if char.isprintable() else "?" for char in text)
