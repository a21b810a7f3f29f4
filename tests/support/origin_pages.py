"""The pages that say what became of the origin, read as rows.

`python -m tests.support.origin_pages` writes anew what is counted: the tables of docs/origin.md, and the figures that come from
`mailtide plan`.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.origin_figures import FIGURES, claims_of, here

ROOT = Path(__file__).resolve().parents[2]
INDEX = ROOT / "docs" / "origin.md"
PAGES = sorted((ROOT / "docs" / "origin").glob("*.md"))

type Verdicts = tuple[str, ...]
type Group = Callable[[Row], str]

FATES = ("covered", "replaced", "refused", "planned")
JUDGEMENTS = ("reproduced", "corrected", "unproven")
KINDS: Mapping[str, Verdicts] = {
    "Features": FATES,
    "Commands": FATES,
    "Environment variables": FATES,
    "Figures": JUDGEMENTS,
}
"""Heading of a page's section -> verdicts that its rows may have."""
_BEGIN, _END = "<!-- counted -->", "<!-- /counted -->"
_CELL_BORDER = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a page."""

    document: str
    """Name of the origin's document, without its ending."""
    kind: str
    cells: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """The last cell but one."""
        return self.cells[-2]


def rows_of(page: Path) -> Iterator[Row]:
    """Every row of the tables below the headings of KINDS."""
    kind = ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            kind = line.lstrip("# ")
        elif kind in KINDS and line.startswith("| "):
            cells = cells_of(line)
            if cells[-2] != "verdict":
                yield Row(page.stem, kind, cells)


def cells_of(line: str) -> tuple[str, ...]:
    """The cells of a row of Markdown, without the bars around them."""
    return tuple(cell.strip() for cell in _CELL_BORDER.split(line)[1:-1])


def all_rows() -> list[Row]:
    """Of all pages, in their order."""
    return [row for page in PAGES for row in rows_of(page)]


def with_figures(page: Path) -> str:
    """The page's text, with the figures that `mailtide plan` counts as they are now."""
    judged, counted, at = claims_of(page.stem), FIGURES.get(page.stem, {}), here()
    lines = []
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = cells_of(line) if line.startswith("| ") else ("",)
        if claim := judged.get(cells[0]):
            cells = (cells[0], claim.theirs_text, claim.ours_text, claim.verdict, *cells[4:])
        elif count := counted.get(cells[0]):
            cells = (*cells[:2], count(at), *cells[3:])
        lines.append(f"| {' | '.join(cells)} |" if cells[0] else line)
    return "\n".join(lines) + "\n"


def with_counts(rows: list[Row]) -> str:
    """The text of docs/origin.md, with the counts of these rows."""
    before, rest = INDEX.read_text(encoding="utf-8").split(_BEGIN)
    after = rest.split(_END)[1]
    return f"{before}{_BEGIN}\n\n{_counts(rows)}\n\n{_END}{after}"


def _counts(rows: list[Row]) -> str:
    things = [row for row in rows if row.kind != "Figures"]
    figures = [row for row in rows if row.kind == "Figures"]
    pages = {page.stem: f"[{page.stem}](origin/{page.name})" for page in PAGES}
    kinds = {kind: kind.lower() for kind in KINDS if kind != "Figures"}
    tables = (
        _table("features, commands, variables", kinds, FATES, things, lambda row: row.kind),
        _table("by document", pages, FATES, things, lambda row: row.document),
        _table("figures", pages, JUDGEMENTS, figures, lambda row: row.document),
    )
    return "\n\n".join(tables)


def _table(heading: str, names: Mapping[str, str], verdicts: Verdicts, rows: list[Row], group: Group) -> str:
    counted = Counter((group(row), row.verdict) for row in rows)
    lines = [f"| {heading} | rows | {' | '.join(verdicts)} |", f"|---|{'---:|' * (len(verdicts) + 1)}"]
    for groups, name in (*(({key}, name) for key, name in names.items()), (set(names), "**together**")):
        numbers = [sum(counted[key, verdict] for key in groups) for verdict in verdicts]
        lines.append(f"| {name} | {' | '.join(map(str, (sum(numbers), *numbers)))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    for path in (*PAGES, INDEX):
        path.write_text(with_figures(path), encoding="utf-8")
    INDEX.write_text(with_counts(all_rows()), encoding="utf-8")
