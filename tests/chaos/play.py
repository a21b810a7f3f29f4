"""Plays one scenario on the stage until all organisations are at rest, and gathers the facts."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from localstack.fly.faults import FaultClient
from mailtide.contracts import Latest
from mailtide.runs import keys
from tests.chaos.deeds import Deeds
from tests.chaos.draw import EVENTS, Scenario, Script
from tests.chaos.facts import Facts, Organisation
from tests.chaos.look import Look
from tests.chaos.rules import FUNCTIONS
from tests.chaos.stage import AS_DEPLOYED, RETRY_AFTER_S, SHORT, Stage

REST_WITHIN_S = 300.0
"""Far more than any scenario needs on a machine that is not shared."""
WAKE_EVERY_S = 1.8
LOOK_EVERY_S = 0.8
STORMS, STORM_EVERY_S = 3, 3.0
_LOST: dict[str, tuple[str, ...]] = {
    "TryEnded": ("/manifest.json", "/error.json"),
    "ResultWritten": ("/result.json",),
}


@dataclass
class Play:
    """One scenario."""

    stage: Stage
    look: Look
    fly: FaultClient
    scenario: Scenario
    planted: dict[str, str] = field(default_factory=dict)
    """Kind of each planted fault of the Fly API, by id."""
    struck: Counter[str] = field(default_factory=Counter)
    fresh: set[str] = field(default_factory=set)
    """Organisations whose next day is still to come."""
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.orgs = [script.org for script in self.scenario.scripts]
        self.fresh = {script.org for script in self.scenario.scripts if script.next_day}
        self.deeds = Deeds(self.look, {script.org: script for script in self.scenario.scripts})
        self.deeds.waiting = {s.org: list(range(s.at_once, len(s.uploads))) for s in self.scenario.scripts}
        self.storms = STORMS if self.scenario.storm else 0
        self._asked = len(self.fly.requests())
        self._began = datetime.now(UTC).replace(microsecond=0)
        self._lost_until: datetime | None = None

    def run(self) -> Facts:
        """From the first upload to the last look."""
        self._plant()
        try:
            with ThreadPoolExecutor(8) as pool:
                for script in self.scenario.scripts:
                    for number in range(script.at_once):
                        pool.submit(self._first_upload, script, number)
                self._to_rest()
        finally:
            self._mend()
        self._wait_for_machines()
        return self._facts()

    def _plant(self) -> None:
        scenario, book = self.scenario, self.stage.book
        self.stage.configure(AS_DEPLOYED if scenario.family == "clock" else SHORT, scenario.clocks_s)
        for fault in scenario.fly:
            self.planted[self.fly.plant(fault)] = fault.kind
        self._switch(on=False)
        if scenario.redelivered:
            self.stage.hide_messages_for(1, scenario.redelivered)
        book.struck.clear()
        book.log.clear()
        book.deeds, self.stage.proxies.forge = self.deeds.do, self.deeds.forge
        book.arm(*scenario.rules)

    def _mend(self) -> None:
        """Nothing goes wrong from here on."""
        self.stage.book.disarm()
        self.fly.remove()
        self._switch(on=True)
        if self.scenario.redelivered:
            self.stage.hide_messages_for(RETRY_AFTER_S, self.scenario.redelivered)

    def _switch(self, *, on: bool) -> None:
        """The rules that hand events on."""
        if not self.scenario.lost or self._lost_until is not None:
            return
        events = self.stage.cloud.client("events")
        for rule in events.list_rules()["Rules"]:
            if any(name in rule["Name"] for name in self.scenario.lost):
                (events.enable_rule if on else events.disable_rule)(Name=rule["Name"])
        if on:
            self._lost_until = datetime.now(UTC)

    def _first_upload(self, script: Script, number: int) -> None:
        time.sleep(script.start_s)
        self.deeds.upload(script.org, number)
        self.struck["two uploads at once"] += number > 0

    def _to_rest(self) -> None:
        """Wake the watcher, look, go on with the scripts; until all is at rest, or for too long."""
        began_s = woken_s = stormed_s = time.monotonic()
        time.sleep(max(script.start_s for script in self.scenario.scripts) + LOOK_EVERY_S)
        while time.monotonic() < began_s + REST_WITHIN_S:
            now_s = time.monotonic()
            if now_s >= woken_s + WAKE_EVERY_S:
                self.look.send("watch", kind="watch")
                woken_s = now_s
            if self.scenario.lost_for_s is not None and now_s >= began_s + self.scenario.lost_for_s:
                self._switch(on=True)
            if self.storms and now_s >= stormed_s + STORM_EVERY_S:
                self._storm()
                stormed_s = now_s
                self.storms -= 1
            if all([self._goes_on(org) for org in self.orgs]) and not self.stage.proxies.late:
                return
            self.look.machines()
            time.sleep(LOOK_EVERY_S)
        self.problems += [
            f"{org} is not at rest after {REST_WITHIN_S:.0f} s: {why}"
            for org in self.orgs
            if (why := self.look.unrest(org))
        ]

    def _storm(self) -> None:
        self.struck["doubled, late or unordered message"] += sum(self.deeds.send_again(org) for org in self.orgs)

    def _goes_on(self, org: str) -> bool:
        """Whether this organisation has come to its end; one that rests goes on with its script."""
        if self.look.unrest(org) is not None:
            return False
        if self.deeds.upload_next(org):
            return False
        if org in self.fresh:
            self.fresh.discard(org)
            return not self._next_day(org)
        return True

    def _next_day(self, org: str) -> bool:
        latest = self.look.read(keys.latest(org), Latest)
        if latest is None or latest.status != "published" or latest.as_of is None:
            return False
        tomorrow = latest.as_of + timedelta(days=1)
        self.look.send("plan", kind="plan", org=org, trigger="timer", as_of=tomorrow.isoformat())
        # Until its marker stands the organisation looks as if it were at rest.
        ends_at = time.monotonic() + 20
        while time.monotonic() < ends_at:
            if self.look.unrest(org) is not None or self._handled(org) == tomorrow:
                return True
            time.sleep(0.05)
        return True

    def _handled(self, org: str) -> object:
        latest = self.look.read(keys.latest(org), Latest)
        return latest.as_of if latest else None

    def _wait_for_machines(self) -> None:
        """One that has just delivered is given time to exit, others are the watcher's."""
        if self.scenario.storm:
            self._storm()
        ends_at, woken_s = time.monotonic() + 30, time.monotonic()
        while self.look.living(*self.orgs) or any(self.look.unrest(org) for org in self.orgs):
            if time.monotonic() > ends_at:
                return
            if time.monotonic() >= woken_s + WAKE_EVERY_S:
                self.look.send("watch", kind="watch")
                woken_s = time.monotonic()
            time.sleep(LOOK_EVERY_S)

    def _facts(self) -> Facts:
        found = self._organisations()
        self.struck.update(self.stage.book.struck)
        self.struck.update(self._lost())
        self.struck["message redelivered"] += self._redelivered()
        self.struck.update(self._of_fly())
        self.struck.update(self._clocks(found))
        return Facts(
            organisations=found,
            struck=+self.struck,
            failing=frozenset(FUNCTIONS if self._calls_fail() else ()),
            dead_letters=self.look.dead_letters(),
            problems=tuple(self.problems),
        )

    def _organisations(self) -> tuple[Organisation, ...]:
        """A doubled call that came too late may hold a lock for another moment."""
        ends_at = time.monotonic() + 20
        while True:
            found = tuple(self.look.organisation(org, self.deeds.cancelled) for org in self.orgs)
            held = any(org.lock is not None and org.lock.owner is not None for org in found)
            if not held or time.monotonic() > ends_at:
                return found
            self.look.send("watch", kind="watch")
            time.sleep(1)

    def _calls_fail(self) -> bool:
        return any(
            self.struck[kind] for kind in self.struck if kind.startswith(("bucket", "queue", "cut", "function", "slow"))
        ) or any(kind in self.planted.values() for kind in self.struck)

    def _lost(self) -> Counter[str]:
        """Events of objects that came while their rule was off."""
        until = self._lost_until or datetime.now(UTC)
        counted: Counter[str] = Counter()
        for name in set(EVENTS) & set(self.scenario.lost):
            prefixes = [keys.ORGS if name == "SourceUploaded" else keys.RUNS]
            suffixes = _LOST.get(name, ("/contacts.db",))
            entries = [
                entry for org in self.orgs for prefix in prefixes for entry in self.look.listed(f"{prefix}{org}/")
            ]
            counted["event lost"] += sum(
                entry["Key"].endswith(suffixes) and self._began <= entry["LastModified"] <= until for entry in entries
            )
        return counted

    def _redelivered(self) -> int:
        """Messages that the function whose queue hides nothing for long has carried out more than once."""
        if self.scenario.redelivered is None:
            return 0
        carried_out = self.look.carried_out(self.stage.name(self.scenario.redelivered), self._began)
        return sum(count - 1 for (_, org), count in carried_out.items() if org in self.orgs)

    def _of_fly(self) -> Counter[str]:
        counted = Counter(
            kind for row in self.look.machines() if row["metadata"].get("org") in self.orgs for kind in row["struck"]
        )
        counted.update(
            self.planted[row["fault"]] for row in self.fly.requests()[self._asked :] if row.get("fault") in self.planted
        )
        return counted

    def _clocks(self, found: tuple[Organisation, ...]) -> Counter[str]:
        """Runs that functions with wrong clocks worked on."""
        runs = sum(run.done is not None for org in found for run in org.runs)
        return Counter({"clock almost 5 minutes wrong": runs * len(self.scenario.clocks_s)})
