"""`python -m tests.chaos --seeds 1-200 --jobs 2`: scenarios on local clouds; exit code 1 with findings."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from localstack.cloud import ROOT, STATE, LocalCloud
from localstack.fly.faults import FaultClient
from tests.chaos.draw import draw
from tests.chaos.jobs import play_in_processes
from tests.chaos.look import Look
from tests.chaos.stage import RETRY_AFTER_S, staged
from tests.chaos.suite import Suite
from tests.chaos.totals import Totals


def parse_seeds(text: str) -> list[int]:
    """`1-200`, `17` or `1-5,9`, each once: a scenario's organisations have its number in their names. ValueError."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        found += range(int(first), int(last) + 1) if dash else [int(first)]
    if not found:
        raise ValueError("there is no seed in it")
    return list(dict.fromkeys(found))


def main() -> int:
    """0 when every promise was kept."""
    # Also where a shell has told its background jobs to ignore Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    parser = argparse.ArgumentParser(description="Seeded scenarios under faults on the deployed template.")
    parser.add_argument("--seeds", default="1-10", help="a range or a list, such as 1-200 or 3,17")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each with a cloud of its own (default: 1)")
    parser.add_argument("--struck", action="store_true", help="say of every scenario what struck it")
    parser.add_argument("--draw", action="store_true", help="only say what the seeds draw")
    parser.add_argument("--totals", type=Path, help="write the totals into this file instead of telling them")
    parser.add_argument("--logs", default="chaos", help="folder for the logs (default: chaos)")
    arguments = parser.parse_args()
    try:
        seeds = parse_seeds(arguments.seeds)
    except ValueError as error:
        parser.error(f"--seeds {arguments.seeds}: {error}")
    if arguments.jobs < 1:
        parser.error(f"--jobs {arguments.jobs}: at least one process is needed")
    if arguments.draw:
        return _tell_drawn(seeds)
    if arguments.jobs > 1:
        totals = play_in_processes(seeds, min(arguments.jobs, len(seeds)), tells_all=arguments.struck)
    else:
        totals = _play(seeds, STATE / "logs" / arguments.logs, tells_all=arguments.struck)
    if arguments.totals:
        arguments.totals.write_text(totals.model_dump_json())
    else:
        print(totals.line(), flush=True)
    return 1 if totals.findings or totals.scenarios < len(seeds) else 0


def _tell_drawn(seeds: Sequence[int]) -> int:
    for seed in seeds:
        scenario = draw(seed)
        print(f"seed {seed}: {scenario.family}", *(f"  {line}" for line in scenario.lines()), sep="\n")
    return 0


def _play(seeds: Sequence[int], logs: Path, *, tells_all: bool) -> Totals:
    parameters = {"RetryAfterS": str(RETRY_AFTER_S), "LogLevel": "INFO"}
    print(f"the template is being deployed; logs: {os.path.relpath(logs, ROOT)}", flush=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalCloud(parameters=parameters, logs=logs, fly_rate_limit="off") as cloud,
    ):
        origin = cloud.fly_api_url.removesuffix("/v1")
        with FaultClient(origin) as fly, staged(cloud, Path(folder), retry_after_s=RETRY_AFTER_S) as stage:
            suite = Suite(stage, Look(cloud, fly, Path(folder)), fly, tells_all)
            try:
                for seed in seeds:
                    suite.play(draw(seed))
                while suite.kept:
                    suite.look_back()
            except KeyboardInterrupt:
                print("stopped before the end", flush=True)
            return suite.totals


if __name__ == "__main__":
    sys.exit(main())
