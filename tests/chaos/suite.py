"""Scenario after scenario on one local cloud."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from localstack.fly.faults import FaultClient
from tests.chaos.check import findings
from tests.chaos.draw import Scenario
from tests.chaos.facts import Facts, endings
from tests.chaos.look import Look
from tests.chaos.play import Play
from tests.chaos.stage import Stage
from tests.chaos.totals import Totals

KEPT = 1
"""Scenarios whose organisations stay, to see that late messages change nothing any more. Each call of the watcher looks at
all of them, so that more than one made most of the requests."""


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
