"""`make bench-threads`: the pass by 1 to 16 threads, in memory (highperf) and on disk (reliable)."""

import argparse
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.bench.pass_ import DAY, FIRST, NEXT, NEXT_DAY, WIDTH, Results, Work, in_turn, make_files, measured_pass, save

PROFILES = {"highperf": "in memory", "reliable": "on disk"}


def name_of(kind: str, profile: str, threads: int) -> str:
    return f"{kind}, {PROFILES[profile]}, {threads}"


def plan(contacts: int, threads: list[int], folder: Path) -> list[Work]:
    """One run of each kind, profile and number of threads."""
    files = make_files(folder, contacts, with_floor=False)
    kinds = ((FIRST, files.contacts, DAY), (NEXT, files.scheduled, NEXT_DAY))
    return [
        (name_of(kind, profile, count), partial(measured_pass, files, start, day, count, profile))
        for kind, start, day in kinds
        for profile in PROFILES
        for count in threads
    ]


def table_of(results: Results, kind: str, profile: str, threads: list[int]) -> Table:
    table = Table(title=f"{kind}, {PROFILES[profile]} ({profile})")
    for heading in ("threads", "seconds", "speed-up", "efficiency", "CPU s", "peak MB"):
        table.add_column(heading, justify="right")
    alone = results.middle(name_of(kind, profile, threads[0]), "seconds")
    for count in threads:
        name = name_of(kind, profile, count)
        seconds = results.middle(name, "seconds")
        speed_up = alone * threads[0] / seconds
        table.add_row(
            str(count), f"{seconds:.2f}", f"{speed_up:.2f}", f"{speed_up / count:.0%}",
            f"{results.middle(name, 'cpu'):.2f}", f"{results.middle(name, 'peak_mb'):,.0f}",
        )  # fmt: skip
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.threads", description=__doc__)
    parser.add_argument("--contacts", type=int, default=1_000_000, help="contacts to invent (default 1,000,000)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each kind (default 5)")
    parser.add_argument("--threads", default="1,2,4,8,16", help="thread counts (default 1,2,4,8,16)")
    given = parser.parse_args()
    threads = sorted({int(count) for count in given.threads.split(",")})
    console = Console(highlight=False, width=WIDTH)
    preparing = f"{given.contacts:,} contacts are made and scheduled"
    results = in_turn(partial(plan, given.contacts, threads), given.runs, preparing, console)
    console.print(f"{given.contacts:,} contacts; medians of {given.runs} runs")
    for kind in (FIRST, NEXT):
        for profile in PROFILES:
            console.print(table_of(results, kind, profile, threads))
    console.print(f"Every run: {save(results, given.contacts, given.runs, 'threads')}", soft_wrap=True)


if __name__ == "__main__":
    main()
