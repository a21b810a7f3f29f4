"""`python -m tests.chaos --seeds 1-200`: scenario after scenario on one local cloud; exit code 1 with findings."""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from localstack.cloud import ROOT, STATE, LocalCloud
from localstack.fly.faults import FaultClient
from tests.chaos.check import findings
from tests.chaos.draw import Scenario, draw
from tests.chaos.facts import Facts
from tests.chaos.look import Look
from tests.chaos.play import Play, endings
from tests.chaos.stage import RETRY_AFTER_S, Stage, staged

KEPT = 4
"""Scenarios whose organisations stay, to see that late messages change nothing any more."""


@dataclass
class Totals:
    """Of all scenarios so far."""

    scenarios: int = 0
    organisations: int = 0
    uploads: int = 0
    machines: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    dead_letters: int = 0
    findings: list[str] = field(default_factory=list)

    def add(self, facts: Facts, found: list[str]) -> None:
        """One more scenario."""
        self.scenarios += 1
        self.organisations += len(facts.organisations)
        self.uploads += sum(version.uploaded for org in facts.organisations for version in org.versions)
        self.machines += sum(len(org.machines) for org in facts.organisations)
        self.ended.update(endings(facts))
        self.struck.update(facts.struck)
        self.dead_letters += len(facts.dead_letters)
        self.findings += found

    def line(self) -> str:
        """The last line of all."""
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.struck.items()))
        ends = ", ".join(f"{self.ended[status]} {status}" for status in ("published", "failed", "superseded"))
        return (
            f"chaos: {self.scenarios} scenarios, {self.organisations} organisations, {self.uploads} uploads, "
            f"{self.machines} machines; {self.struck.total()} faults struck ({kinds}); runs: {ends}; "
            f"{self.dead_letters} dead letters; {len(self.findings)} findings"
        )


def parse_seeds(text: str) -> list[int]:
    """`1-200`, `17` or `1-5,9`, each once: a scenario's organisations have its number in their names. ValueError."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        found += range(int(first), int(last) + 1) if dash else [int(first)]
    if not found:
        raise ValueError("there is no seed in it")
    return list(dict.fromkeys(found))


@dataclass
class Suite:
    """Plays scenarios one after the other, and looks once more at those that ended a while ago."""

    stage: Stage
    look: Look
    fly: FaultClient
    tells_all: bool = False
    """Whether what struck is told of every scenario, not only of those with findings."""
    totals: Totals = field(default_factory=Totals)
    kept: list[tuple[Scenario, dict[str, str]]] = field(default_factory=list)

    def play(self, scenario: Scenario) -> list[str]:
        """Play one; its findings."""
        began_s = time.monotonic()
        facts = Play(self.stage, self.look, self.fly, scenario).run()
        found = [f"seed {scenario.seed}: {what}" for what in findings(facts, self.look.scheduled, self.look.rows)]
        self.totals.add(facts, found)
        ends = ", ".join(f"{count} {status}" for status, count in sorted(endings(facts).items()))
        struck, took_s = sum(facts.struck.values()), time.monotonic() - began_s
        what = f"{scenario.family}, {len(scenario.scripts)} organisations, {struck} faults, {ends}"
        print(f"seed {scenario.seed}: {what}; {took_s:.1f} s", flush=True)
        if found:
            self._tell(scenario, facts, found)
        elif self.tells_all:
            print("\n".join(f"  struck: {line}" for line in self.stage.book.log), flush=True)
        self.kept.append((scenario, {org.org: org.versions[-1].etag for org in facts.organisations if org.versions}))
        return found + (self.look_back() if len(self.kept) > KEPT else [])

    def look_back(self) -> list[str]:
        """The oldest scenario that is kept: nothing has moved since. Then its organisations go."""
        scenario, stood = self.kept.pop(0)
        found = []
        for org, etag in stood.items():
            why = self._lasting_unrest(org)
            last = self.look.organisation(org).versions[-1].etag
            if why or last != etag:
                found.append(
                    f"seed {scenario.seed}: {org} moved after it had come to rest: {why or 'another database stands'}"
                )
            self.look.forget(org)
        self.totals.findings += found
        for what in found:
            print(f"FINDING {what}", flush=True)
        return found

    def _lasting_unrest(self, org: str) -> str | None:
        """A message that comes again late may hold the lock for another moment."""
        ends_at = time.monotonic() + 20
        while (why := self.look.unrest(org)) and time.monotonic() < ends_at:
            self.look.send("watch", kind="watch")
            time.sleep(1)
        return why

    def _tell(self, scenario: Scenario, facts: Facts, found: list[str]) -> None:
        for what in found:
            print(f"FINDING {what}", flush=True)
        print("\n".join(f"  drawn: {line}" for line in scenario.lines()), flush=True)
        print("\n".join(f"  struck: {line}" for line in self.stage.book.log), flush=True)
        named = {line.partition(":")[0] for what in found for line in [what.partition(": ")[2]]}
        for org in facts.organisations:
            if org.org in named:
                entries = self.look.listed(f"runs/{org.org}/")
                print(
                    "\n".join(f"  object: {entry['LastModified']:%H:%M:%S} {entry['Key']}" for entry in entries),
                    flush=True,
                )
        print(f"  logs: {os.path.relpath(self._keep_logs(scenario.seed))}", flush=True)

    def _keep_logs(self, seed: int) -> Path:
        """What the functions wrote since the beginning, in a file; the machines' own logs lie beside it."""
        path = self.stage.cloud.logs / f"functions-{seed}.log"
        logs = self.stage.cloud.client("logs")
        with path.open("w") as file:
            for name in self.stage.cloud.stack.functions:
                events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
                file.writelines(
                    f"{name} {event['timestamp']} {event['message'].rstrip()}\n"
                    for event in events
                    if f"c{seed}-" in event["message"]
                )
        return path


def main() -> int:
    """0 when every promise was kept."""
    # Also where a shell has told its background jobs to ignore Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    parser = argparse.ArgumentParser(description="Seeded scenarios under faults on the deployed template.")
    parser.add_argument("--seeds", default="1-10", help="a range or a list, such as 1-200 or 3,17")
    parser.add_argument("--struck", action="store_true", help="say of every scenario what struck it")
    parser.add_argument("--draw", action="store_true", help="only say what the seeds draw")
    arguments = parser.parse_args()
    try:
        seeds = parse_seeds(arguments.seeds)
    except ValueError as error:
        parser.error(f"--seeds {arguments.seeds}: {error}")
    if arguments.draw:
        for seed in seeds:
            scenario = draw(seed)
            print(f"seed {seed}: {scenario.family}", *(f"  {line}" for line in scenario.lines()), sep="\n")
        return 0
    return _play(seeds, tells_all=arguments.struck)


def _play(seeds: list[int], *, tells_all: bool) -> int:
    parameters = {"RetryAfterS": str(RETRY_AFTER_S), "LogLevel": "INFO"}
    logs = STATE / "logs" / "chaos"
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
            print(suite.totals.line(), flush=True)
    return 1 if suite.totals.findings or suite.totals.scenarios < len(seeds) else 0


if __name__ == "__main__":
    sys.exit(main())
