"""`make bench-runs`: whole runs on the deployed template: a million contacts on one machine and on two and a merge, and a
hundred organisations of ten thousand uploaded within a minute. A table, and a JSON file in .local/bench.

Here all machines share this computer's processors, so more machines make nothing faster; what is measured are the parts of
which docs/scaling.md makes its model: seconds of each step, bytes, requests, function seconds, dollars at list prices.
Exit code 1 when a run did not end published.
"""

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from localstack.cloud import STATE, LocalCloud
from localstack.processes import LocalCloudError
from mailtide.contracts import Done
from tests.bench.runs_site import Functions, Measured, Site

OUT = Path(__file__).parents[2] / ".local" / "bench"
FUNCTION_GB = 0.5
"""Memory of the run functions in template.yaml."""
USD_PER_GB_S = 0.000_013_333_4
USD_PER_CALL = 0.000_000_2
"""Lambda on arm64 in US East, November 2026."""
TIMEOUT_S = 1_800.0
COLUMNS = (
    "", "published", "PUT to last done, s", "machine s", "function s", "calls", "machines $", "egress $", "requests $",
    "Lambda $",
)  # fmt: skip
PARAMETERS = {"WatchStallS": "120", "TaskTimeoutS": "900", "RunTimeoutS": "3600"}


def function_usd(used: Functions) -> float:
    """Lambda's price of the calls."""
    return used.total_s * FUNCTION_GB * USD_PER_GB_S + used.calls.total() * USD_PER_CALL


def facts_of(measured: Measured, used: Functions) -> dict[str, Any]:
    """The figures of one part, as they go into the JSON file."""
    costs = [done.cost for done in measured.done if done.cost]
    return {
        "runs": len(measured.done),
        "published": sum(done.status == "published" for done in measured.done),
        "uploads_s": round(measured.uploads_s, 2),
        "seconds": round(measured.seconds, 2),
        "machines": sum(len(done.machines) for done in measured.done),
        "machine_s": round(sum(cost.machine_s for cost in costs), 1),
        "machine_usd": round(sum(cost.machine_usd for cost in costs), 6),
        "egress_usd": round(sum(cost.egress_usd for cost in costs), 6),
        "requests_usd": round(sum(cost.requests_usd for cost in costs), 6),
        "function_calls": used.calls.total(),
        "function_s": round(used.total_s, 1),
        "function_usd": round(function_usd(used), 6),
        "functions": {"calls": dict(used.calls), "milliseconds": dict(used.milliseconds)},
    }


def steps_of(done: Done) -> dict[str, Any]:
    """Seconds after the upload, and each machine's own."""
    began = done.steps[0].at
    return {
        "steps_s": {step.name: round((step.at - began).total_seconds(), 2) for step in done.steps},
        "machines": [json.loads(use.model_dump_json()) for use in done.machines],
        "report_seconds": (done.report or {}).get("seconds"),
    }


def measure(site: Site, given: argparse.Namespace, console: Console) -> dict[str, dict[str, Any]]:
    """Every part, one after the other."""
    results: dict[str, dict[str, Any]] = {}

    def part(name: str, databases: dict[str, Path], spread_s: float = 0.0) -> None:
        console.print(f"{name} …")
        before = site.functions()
        found = site.run(databases, spread_s=spread_s, timeout_s=TIMEOUT_S, say=console.print)
        results[name] = facts_of(found, site.functions().since(before))
        if len(found.done) == 1:
            results[name] |= steps_of(found.done[0])

    if given.contacts:
        large = site.database(given.contacts)
        site.plan_with(MAILTIDE_CHUNKING="never")
        part(f"{given.contacts:,} on one machine", {"one-machine": large})
        half = str(-(-given.contacts // 2))
        site.plan_with(MAILTIDE_CHUNKING="always", MAILTIDE_CHUNK_FROM_CONTACTS="2", MAILTIDE_CHUNK_CONTACTS=half)
        part(f"{given.contacts:,} on 2 machines and a merge", {"two-and-merge": large})
        site.plan_with(MAILTIDE_CHUNKING="auto")
    if given.orgs:
        console.print("Databases of the organisations …")
        databases = {f"org-{number:03}": site.database(given.org_contacts, number % 10) for number in range(given.orgs)}
        part(f"{given.orgs} organisations of {given.org_contacts:,} within {given.spread} s", databases, given.spread)
    return results


def table_of(results: dict[str, dict[str, Any]]) -> Table:
    table = Table()
    for name in COLUMNS:
        table.add_column(name, justify="right" if name else "left")
    for name, found in results.items():
        dollars = (f"{found[key]:.4f}" for key in ("machine_usd", "egress_usd", "requests_usd", "function_usd"))
        table.add_row(
            name, f"{found['published']} of {found['runs']}", f"{found['seconds']:.1f}", f"{found['machine_s']:.1f}",
            f"{found['function_s']:.1f}", f"{found['function_calls']:,}", *dollars,
        )  # fmt: skip
    return table


def save(results: dict[str, dict[str, Any]]) -> Path:
    """Every figure as JSON."""
    OUT.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    path = OUT / f"runs-{now:%Y%m%dT%H%M%SZ}.json"
    machine = {"cpus": os.cpu_count(), "load_average": os.getloadavg(), "platform": platform.platform()}
    path.write_text(
        json.dumps({"at": now.isoformat(), "machine": machine, "parts": results}, indent=2), encoding="utf-8"
    )
    return path


def main() -> int:
    """0 when every run was published."""
    parser = argparse.ArgumentParser(prog="make bench-runs", description=__doc__)
    parser.add_argument("--contacts", type=int, default=1_000_000, help="of the large organisation; 0: without it")
    parser.add_argument("--orgs", type=int, default=100, help="small organisations; 0: without them")
    parser.add_argument("--org-contacts", type=int, default=10_000, help="contacts of each")
    parser.add_argument("--spread", type=float, default=60.0, help="seconds over which they are uploaded")
    given = parser.parse_args()
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 150)
    try:
        with (
            TemporaryDirectory(prefix="mailtide-bench-") as folder,
            LocalCloud(parameters=PARAMETERS, logs=STATE / "logs" / "bench") as cloud,
        ):
            results = measure(Site(cloud, Path(folder)), given, console)
    except LocalCloudError as error:
        print(f"bench-runs: {error}", file=sys.stderr)
        return 2
    kept = save(results)
    console.print(table_of(results))
    console.print(f"Every figure: {kept}", soft_wrap=True)
    return 0 if all(found["published"] == found["runs"] for found in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
