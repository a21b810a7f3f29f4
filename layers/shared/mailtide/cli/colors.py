"""How lists of runs and organisations look."""

from rich.table import Table

STATE_COLORS = {
    "published": "green",
    "failed": "bold red",
    "held": "yellow",
    "superseded": "dim",
    "running": "cyan",
    "–": "",
}
"""State of a run or an organisation -> rich's style."""


def list_table(*columns: str) -> Table:
    """A table without borders. Nothing is cut off where it is narrow, and a run's id stays whole: people copy it."""
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold", no_wrap=name == "run", min_width=20 if name == "run" else None)
    return table
