"""`make bench`: how long the pass takes beside SQLite writing the same rows alone; a table, and a JSON file in .local/bench.

Every figure is the median of several runs, each in a process of its own; pass and floor take turns.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

OUT = Path(__file__).parents[2] / ".local" / "bench"
DAY, NEXT_DAY = "2026-11-21", "2026-11-22"
MAIN_THREADS = 2
START_UP_CONTACTS = 10_000
FIRST, NEXT, SAME = "first run", "next day", "no change"
START_UP, HELP = "10,000, with start-up", "mailtide --help"
LARGER = 3
MAX_RATIO = {FIRST: 1.2, NEXT: 0.4}
MAX_GROWTH = 3.3
MAX_PEAK_MB = 600
MAX_START_UP_S = {START_UP: 0.5, HELP: 0.3}
WIDTH = 120

type Result = dict[str, Any]
type Work = tuple[str, Callable[[], Result]]


@dataclass(frozen=True, slots=True)
class Files:
    """The databases that the runs start from."""

    contacts: Path
    scheduled: Path
    prepared: Path
    few: Path
    work: Path


@dataclass(slots=True)
class Results:
    """The results of each kind of run, in the order in which they came."""

    runs: defaultdict[str, list[Result]] = field(default_factory=lambda: defaultdict(list))

    def middle(self, name: str, figure: str) -> float:
        return float(median(run[figure] for run in self.runs[name]))

    def ratio(self, name: str) -> float:
        return self.middle(name, "seconds") / self.middle("floor", "seconds")


def child(*arguments: object) -> Result:
    command = [sys.executable, "-m", "tests.bench.child", *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: Result = json.loads(done.stdout)
    return result


def mailtide(*arguments: object) -> Result:
    # As installed: Python keeps what it compiles of the modules, from the first start on.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = datetime.now(UTC)
    command = [str(Path(sys.executable).with_name("mailtide")), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return {"seconds": (datetime.now(UTC) - start).total_seconds()}


def make_files(work: Path, contacts: int, *, with_floor: bool = True) -> Files:
    files = Files(work / "contacts.db", work / "scheduled.db", work / "prepared.db", work / "few.db", work)
    mailtide("generate", files.contacts, "--contacts", contacts)
    shutil.copyfile(files.contacts, files.scheduled)
    child("pass", files.scheduled, "--as-of", DAY)
    if with_floor:
        mailtide("generate", files.few, "--contacts", START_UP_CONTACTS)
        start_up(files)
        child("prepare", files.scheduled, files.prepared)
    return files


def settle() -> None:
    """Have everything on disk, so that what earlier runs left to be written back does not count in the next."""
    os.sync()


def floor(files: Files) -> Result:
    settle()
    return child("floor", files.contacts, files.prepared, "--threads", MAIN_THREADS)


def measured_pass(
    files: Files, start: Path, as_of: str, threads: int, profile: str = "highperf", work: str = "pass"
) -> Result:
    """One run over a fresh copy of `start`. work: "lines" for one with a profile."""
    database = files.work / "run.db"
    shutil.copyfile(start, database)
    settle()
    before = database.stat()
    result = child(work, database, "--as-of", as_of, "--threads", threads, "--profile", profile)
    after = database.stat()
    untouched = (before.st_ino, before.st_mtime_ns, before.st_size) == (after.st_ino, after.st_mtime_ns, after.st_size)
    database.unlink()
    return result | {"untouched": untouched}


def start_up(files: Files) -> Result:
    database = files.work / "few_run.db"
    shutil.copyfile(files.few, database)
    result = mailtide("schedule", database, "--as-of", DAY)
    database.unlink()
    return result


def larger(kind: str) -> str:
    return f"{kind}, {LARGER} × as many"


def works(files: Files, larger_files: Files | None) -> list[Work]:
    """What one round does, in its order."""
    planned: list[Work] = [("floor", partial(floor, files))]
    for kind, of, day in ((FIRST, "contacts", DAY), (NEXT, "scheduled", NEXT_DAY)):
        planned.append((kind, partial(measured_pass, files, getattr(files, of), day, MAIN_THREADS)))
        if larger_files:
            run = partial(measured_pass, larger_files, getattr(larger_files, of), day, MAIN_THREADS)
            planned.append((larger(kind), run))
    planned.append((SAME, partial(measured_pass, files, files.scheduled, DAY, MAIN_THREADS)))
    planned.append((START_UP, partial(start_up, files)))
    planned.append((HELP, partial(mailtide, "--help")))
    return planned


def measure(contacts: int, runs: int, console: Console, *, with_larger: bool) -> Results:
    def plan(folder: Path) -> list[Work]:
        places = [folder / "once", folder / "larger"]
        for place in places:
            place.mkdir()
        grown = make_files(places[1], LARGER * contacts, with_floor=False) if with_larger else None
        return works(make_files(places[0], contacts), grown)

    return in_turn(plan, runs, f"{contacts:,} contacts are made and scheduled", console)


def in_turn(plan: Callable[[Path], list[Work]], runs: int, preparing: str, console: Console) -> Results:
    """Do the works of a plan in turn, `runs` rounds of them. plan: makes the files in a folder, and says what to do."""
    results = Results()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    OUT.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=OUT) as folder,
        Progress(*columns, console=console, transient=True) as progress,
    ):
        task = progress.add_task(preparing, total=None)
        planned = plan(Path(folder))
        progress.update(task, total=runs * len(planned))
        for number in range(runs):
            for name, work in planned:
                progress.update(task, description=f"round {number + 1}: {name}")
                results.runs[name].append(work())
                progress.advance(task)
    return results


def bar_of(results: Results, name: str) -> str:
    """The bar of a figure and whether it was met; empty where there is none."""
    if name in MAX_RATIO:
        return f"≤ {MAX_RATIO[name]} ×: {_met(results.ratio(name) <= MAX_RATIO[name])}"
    for kind in (FIRST, NEXT):
        if name == larger(kind):
            growth = results.middle(name, "seconds") / results.middle(kind, "seconds")
            return f"≤ {MAX_GROWTH} × once, is {growth:.2f}: {_met(growth <= MAX_GROWTH)}"
    if name == SAME:
        return f"file untouched: {_met(all(run['untouched'] for run in results.runs[SAME]))}"
    if name in MAX_START_UP_S:
        return f"≤ {MAX_START_UP_S[name]} s: {_met(results.middle(name, 'seconds') <= MAX_START_UP_S[name])}"
    return ""


def _met(met: bool) -> str:
    return "met" if met else "missed"


def table_of(results: Results, contacts: int, runs: int) -> Table:
    rows = int(results.middle(FIRST, "rows"))
    title = f"{contacts:,} contacts, {rows:,} rows; medians of {runs} runs, {MAIN_THREADS} threads"
    table = Table(title=title)
    table.add_column(no_wrap=True)
    for heading in ("seconds", "× floor", "CPU s", "peak MB", "changes"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("bar")
    for name, found in results.runs.items():
        peak = f"{results.middle(name, 'peak_mb'):,.0f}" if "peak_mb" in found[0] else ""
        differences = f"{found[0]['differences']:,}" if "differences" in found[0] else ""
        ratio = "" if name in MAX_START_UP_S else f"{results.ratio(name):.2f}"
        cpu = f"{results.middle(name, 'cpu'):.2f}" if "cpu" in found[0] else ""
        seconds = f"{results.middle(name, 'seconds'):.2f}"
        table.add_row(name, seconds, ratio, cpu, peak, differences, bar_of(results, name))
    return table


def peak_line(results: Results) -> str:
    once = [
        runs for name, runs in results.runs.items() if name != "floor" and name not in (larger(FIRST), larger(NEXT))
    ]
    peak = max(run.get("peak_mb", 0) for runs in once for run in runs)
    return f"Highest peak of a pass: {peak:,.0f} MB (bar for 1,000,000 contacts: {MAX_PEAK_MB} MB)"


def steps_line(results: Results, kind: str) -> str:
    steps = results.runs[kind][0]["steps"]
    middle = {step: median(run["steps"].get(step, 0) for run in results.runs[kind]) for step in steps}
    return f"Seconds by step, {kind}: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in middle.items())


def save(results: Results, contacts: int, runs: int, name: str = "pass") -> Path:
    now = datetime.now(UTC)
    path = OUT / f"{name}-{now:%Y%m%dT%H%M%SZ}.json"
    medians = {
        name: {figure: results.middle(name, figure) for figure in ("seconds", "cpu", "peak_mb") if figure in found[0]}
        | ({"ratio": results.ratio(name), "bar": bar_of(results, name)} if "floor" in results.runs else {})
        for name, found in results.runs.items()
    }
    machine = {"cpus": os.cpu_count(), "load_average": os.getloadavg(), "platform": platform.platform()}
    facts = {"at": now.isoformat(), "machine": machine, "contacts": contacts, "rounds": runs}
    path.write_text(json.dumps({**facts, "medians": medians, "runs": results.runs}, indent=2), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pass_", description=__doc__)
    parser.add_argument("--contacts", type=int, default=1_000_000, help="contacts to invent (default 1,000,000)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each kind (default 5)")
    parser.add_argument("--larger", action="store_true", help=f"measure {LARGER} times as many contacts too")
    given = parser.parse_args()
    console = Console(highlight=False, width=WIDTH)
    results = measure(given.contacts, given.runs, console, with_larger=given.larger)
    console.print(table_of(results, given.contacts, given.runs))
    for line in (peak_line(results), steps_line(results, FIRST), steps_line(results, NEXT)):
        console.print(line, soft_wrap=True)
    console.print(f"Every run: {save(results, given.contacts, given.runs)}", soft_wrap=True)


if __name__ == "__main__":
    main()
