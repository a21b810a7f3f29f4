"""`make bench-warmup`: the warm-up's bars: a table, a JSON file in .local/bench, and in the last line figures and verdict.

Exit code 0 when every bar that was measured is met, 1 when one is not.
"""

import argparse
import json
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import warmup_arithmetic, warmup_dispatch, warmup_throughput

OUT = Path(__file__).parents[2] / ".local" / "bench"
YARDSTICK_USERS = 1_000
LEAST_RATE = 35.0
BAR_MAILBOXES = 12_000
MAX_WRITE_UNITS = 4.0
MAX_DISPATCH_S = 2.0
MAX_SIMULATE_S = 600
MAX_SIMULATE_MB = 2_000


@dataclass(frozen=True, slots=True)
class Bar:
    """One figure against what it must be."""

    name: str
    figure: str
    bar: str
    is_met: bool


def bars_of_throughput(found: dict[str, Any]) -> list[Bar]:
    rate = LEAST_RATE * min(1.0, found["mailboxes"] / BAR_MAILBOXES)
    # Not the mails that came: those of the server and of the ledger, each against the other.
    differences = found["not_in_the_ledger"] + found["not_at_the_server"] + found["in_flight"] + found["unknown"]
    gap_s = found["closest_gap_s"]
    return [
        Bar("mails a second", f"{found['mails_per_second']}", f"≥ {rate:g}", found["mails_per_second"] >= rate),
        Bar("sent twice", f"{found['duplicates']}", "0", found["duplicates"] == 0),
        Bar("server and ledger differ in", f"{differences}", "0", differences == 0),
        _below("starts in a minute", found["peak_minute"], found["minute_limit"]),
        _below("starts in a half minute", found["peak_half_minute"], found["minute_limit"] // 2),
        _below("starts in an hour", found["peak_hour"], found["hour_limit"]),
        Bar(
            "closest starts of a mailbox, s",
            "none" if gap_s is None else f"{gap_s}",
            f"≥ {found['cooldown_min_s']:g}",
            gap_s is None or gap_s >= found["cooldown_min_s"],
        ),
        _below("write units a mail", found["write_units_per_mail"] or 0, MAX_WRITE_UNITS),
        _below("largest item written, bytes", found["largest_item_bytes"], 1_024),
        _below("scans", found["scans"], 0),
    ]


def bars_of_dispatch(found: dict[str, Any]) -> list[Bar]:
    return [
        _below("dispatch of a shard of 1,000, s", found["median_s"], MAX_DISPATCH_S),
        _below("scans of dispatch", found["scans"], 0),
    ]


def bars_of_modes(found: dict[str, Any]) -> list[Bar]:
    return [
        Bar(name, f"{one['mails_a_day']:,} mails, {one['mailboxes']:,} mailboxes", "as the origin", one["as_expected"])
        for name, one in found.items()
    ]


def bars_of_simulate(found: dict[str, Any], users: int) -> list[Bar]:
    share = users / YARDSTICK_USERS
    return [
        Bar(
            "simulated: quotas missed", f"{found['quotas_missed']} of {found['mailboxes']:,}", "0", not found["faults"]
        ),
        _below("simulated: starts in a minute", found["peak_minute"], found["minute_limit"]),
        _below("simulated: starts in an hour", found["peak_hour"], found["hour_limit"]),
        _below("simulate, s", found["seconds"], MAX_SIMULATE_S * share),
        _below("simulate, MB", found["peak_memory_mb"], MAX_SIMULATE_MB),
    ]


def _below(name: str, figure: float, most: float) -> Bar:
    return Bar(name, f"{figure:,}", f"≤ {most:g}" if most < 10_000 else f"≤ {most:,.0f}", figure <= most)


def where_the_time_goes(found: dict[str, Any]) -> str:
    """CPU of each process in the measured minutes, and per mail."""
    mails = found["accepted_in_the_measured_minutes"] or 1
    seconds = 60 * found["minutes"]
    by_kind: dict[str, float] = {}
    for name, used in found["cpu_s"].items():
        kind = name.rpartition("-")[0] or name
        by_kind[kind] = by_kind.get(kind, 0.0) + used
    parts = [
        f"{kind} {used / seconds:.2f} cores, {1000 * used / mails:.1f} ms a mail" for kind, used in by_kind.items()
    ]
    total = sum(by_kind.values())
    parts.append(f"all {total / seconds:.2f} cores, {1000 * total / mails:.1f} ms a mail")
    return "CPU: " + "; ".join(parts)


def requests_line(found: dict[str, Any]) -> str:
    """Requests of all workers a mail, the most frequent first."""
    mails = found["accepted"] or 1
    ordered = sorted(found["requests"].items(), key=lambda entry: -entry[1])
    return "Requests a mail: " + ", ".join(
        f"{name} {count / mails:.3f}" for name, count in ordered if count >= mails / 1e3
    )


def measure(given: argparse.Namespace, console: Console) -> tuple[list[Bar], dict[str, Any]]:
    bars: list[Bar] = []
    results: dict[str, Any] = {"worker_modes": warmup_arithmetic.worker_modes()}
    bars += bars_of_modes(results["worker_modes"])
    results["capacity"] = warmup_arithmetic.yardstick_costs()
    folder = OUT / f"warmup-{os.getpid()}"
    if given.minutes:
        console.print(f"Throughput: {given.mailboxes:,} mailboxes, {given.minutes} measured minutes and about 4 more …")
        found = warmup_throughput.measure(
            _fresh(folder / "throughput"), mailboxes=given.mailboxes, minutes=given.minutes, senders=given.senders
        )
        results["throughput"] = found
        bars += bars_of_throughput(found)
        console.print(where_the_time_goes(found), soft_wrap=True)
        console.print(requests_line(found), soft_wrap=True)
        console.print(f"Mails by minute: {found['by_minute']}; load average {found['load_average']}", soft_wrap=True)
    console.print("Dispatch of a shard of 1,000 …")
    results["dispatch"] = warmup_dispatch.measure(_fresh(folder / "dispatch"))
    bars += bars_of_dispatch(results["dispatch"])
    if given.simulate:
        console.print(f"A simulated day of {100 * given.simulate:,} mailboxes …")
        results["simulate"] = warmup_arithmetic.simulate(given.simulate)
        bars += bars_of_simulate(results["simulate"], given.simulate)
    shutil.rmtree(folder)
    return bars, results


def _fresh(folder: Path) -> Path:
    """An empty folder for logs; it stays when the bench fails."""
    folder.mkdir(parents=True)
    return folder


def table_of(bars: list[Bar]) -> Table:
    table = Table()
    table.add_column("figure", no_wrap=True)
    table.add_column("measured", justify="right")
    table.add_column("bar", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for bar in bars:
        table.add_row(bar.name, bar.figure, bar.bar, "met" if bar.is_met else "missed")
    return table


def verdict_line(bars: list[Bar]) -> str:
    """All figures in one line."""
    missed = [bar.name for bar in bars if not bar.is_met]
    figures = "; ".join(f"{bar.name} {bar.figure} ({bar.bar})" for bar in bars)
    return f"{figures}. {'MISSED: ' + ', '.join(missed) if missed else 'All met'}."


def save(bars: list[Bar], results: dict[str, Any]) -> Path:
    now = datetime.now(UTC)
    path = OUT / f"warmup-{now:%Y%m%dT%H%M%SZ}.json"
    machine = {"cpus": os.cpu_count(), "load_average": os.getloadavg(), "platform": platform.platform()}
    verdicts = [{"name": bar.name, "figure": bar.figure, "bar": bar.bar, "met": bar.is_met} for bar in bars]
    facts = {"at": now.isoformat(), "machine": machine, "bars": verdicts, **results}
    path.write_text(json.dumps(facts, indent=2), encoding="utf-8")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.warmup_main", description=__doc__)
    parser.add_argument(
        "--minutes", type=int, default=10, help="measured minutes of throughput; 0: without (default 10)"
    )
    parser.add_argument("--mailboxes", type=int, default=BAR_MAILBOXES, help="of the throughput (default 12,000)")
    parser.add_argument("--senders", type=int, default=5, help="processes that send (default 5)")
    parser.add_argument(
        "--simulate", type=int, default=0, help="users of a simulated day; 1,000 is the yardstick (none)"
    )
    given = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    try:
        bars, results = measure(given, console)
    except warmup_throughput.TooLateError as error:
        print(f"bench-warmup: {error}", file=sys.stderr)
        return 2
    console.print(table_of(bars))
    console.print(f"Every figure: {save(bars, results)}", soft_wrap=True)
    console.print(verdict_line(bars), soft_wrap=True)
    return 0 if all(bar.is_met for bar in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
