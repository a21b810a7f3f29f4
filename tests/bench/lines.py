"""`make bench-lines`: where the time of the pass goes, line by line, with one thread."""

import argparse
import json
import tempfile
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import mailtide
from tests.bench.pass_ import DAY, FIRST, NEXT, NEXT_DAY, OUT, Result, make_files, measured_pass

PACKAGE = Path(mailtide.__file__).parent


def table_of(kind: str, result: Result, most: int) -> Table:
    """The lines that took longest; the seconds of all lines are those of the run."""
    total = sum(seconds for _, _, seconds in result["lines"])
    table = Table(title=f"{kind}: {total:.2f} s with one thread")
    for heading in ("seconds", "share"):
        table.add_column(heading, justify="right")
    table.add_column("line")
    table.add_column("source", no_wrap=True, max_width=90)
    for file, line, seconds in result["lines"][:most]:
        source = (PACKAGE / file).read_text(encoding="utf-8").splitlines()[line - 1].strip()
        table.add_row(f"{seconds:.2f}", f"{seconds / total:.1%}", f"{file}:{line}", escape(source))
    return table


def by_file(kind: str, result: Result) -> Table:
    table = Table(title=f"{kind}, by file")
    table.add_column("seconds", justify="right")
    table.add_column("file")
    spent: Counter[str] = Counter()
    for file, _, seconds in result["lines"]:
        spent[file] += seconds
    for file, seconds in spent.most_common(15):
        table.add_row(f"{seconds:.2f}", file)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.lines", description=__doc__)
    parser.add_argument("--contacts", type=int, default=1_000_000, help="contacts to invent (default 1,000,000)")
    parser.add_argument("--most", type=int, default=20, help="lines to show (default 20)")
    given = parser.parse_args()
    console = Console(highlight=False, width=160)
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=OUT) as folder:
        files = make_files(Path(folder), given.contacts, with_floor=False)
        for kind, database, day in ((FIRST, files.contacts, DAY), (NEXT, files.scheduled, NEXT_DAY)):
            result = measured_pass(files, database, day, 1, work="lines")
            console.print(by_file(kind, result), table_of(kind, result, given.most))
            path = OUT / f"lines-{kind.replace(' ', '-')}.json"
            path.write_text(json.dumps(result), encoding="utf-8")
            console.print(f"All lines: {path}", soft_wrap=True)


if __name__ == "__main__":
    main()
