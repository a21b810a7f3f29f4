"""Runs on the deployed template, measured from the PUT to the published schedule, with what the functions took."""

import re
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localstack.cloud import LocalCloud
from localstack.watching import RunWatcher
from mailtide.contracts import Done
from mailtide.database.invented import invent_database
from mailtide.runs import keys

SEED = 20_261_121
_DURATION = re.compile(r"Duration: ([0-9.]+) ms")
_RUN_FUNCTIONS = ("plan-run", "launch-machine", "collect-parts", "finish-run", "watch-runs")


@dataclass(slots=True)
class Measured:
    """One upload or many, until every schedule was published."""

    seconds: float
    uploads_s: float
    done: list[Done] = field(default_factory=list)


@dataclass(slots=True)
class Functions:
    """What the run functions took: calls and milliseconds, by name."""

    calls: Counter[str] = field(default_factory=Counter)
    milliseconds: Counter[str] = field(default_factory=Counter)

    @property
    def total_s(self) -> float:
        """Seconds of all calls."""
        return self.milliseconds.total() / 1000

    def since(self, before: "Functions") -> "Functions":
        """The difference."""
        return Functions(self.calls - before.calls, self.milliseconds - before.milliseconds)


class Site:
    """A local cloud whose planning can be told to cut a run or not."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self.cloud, self._folder = cloud, folder

    def database(self, contacts: int, number: int = 0) -> Path:
        """A database of invented contacts; another one for each number."""
        path = self._folder / f"{contacts}-{number}.db"
        if not path.exists():
            invent_database(path, contacts, seed=SEED + number, bad_fraction=0.01)
        return path

    def plan_with(self, **settings: str) -> None:
        """Settings of plan_run and of nothing else, over those of the template."""
        functions = self.cloud.client("lambda")
        name = next(name for name in self.cloud.stack.functions if name.endswith("plan-run"))
        variables: dict[str, str] = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": variables | settings})

    def run(
        self, databases: dict[str, Path], *, spread_s: float, timeout_s: float, say: Callable[[str], None]
    ) -> Measured:
        """Upload each database for its organisation, spread evenly over some seconds, and wait for all the ends."""
        bucket, s3 = self.cloud.stack.bucket, self.cloud.client("s3")
        began = time.monotonic()
        for place, (org, path) in enumerate(databases.items()):
            time.sleep(max(0.0, began + spread_s * place / len(databases) - time.monotonic()))
            s3.upload_file(str(path), bucket, keys.source(org))
        uploads_s = time.monotonic() - began
        found: list[Done] = []
        with ThreadPoolExecutor(4) as pool:
            for done in pool.map(lambda org: self._end_of(org, timeout_s), databases):
                found.append(done)
                if len(found) % 10 == 0:
                    say(f"{len(found)} of {len(databases)} runs have ended")
        ended_at = max(done.finished_at for done in found)
        started_at = min(step.at for done in found for step in done.steps if step.name == "uploaded")
        return Measured((ended_at - started_at).total_seconds(), uploads_s, found)

    def _end_of(self, org: str, timeout_s: float) -> Done:
        watcher = RunWatcher(self.cloud.client("s3"), self.cloud.stack.bucket, org)
        return [watcher.read(key, Done) for key in watcher.new_objects(timeout_s) if key.endswith("/done.json")][-1]

    def functions(self) -> Functions:
        """What the functions' own REPORT lines add up to so far."""
        logs: Any = self.cloud.client("logs")
        found = Functions()
        for name in _RUN_FUNCTIONS:
            group = next(name_ for name_ in self.cloud.stack.functions if name_.endswith(name))
            pages = logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{group}")
            for event in (event for page in pages for event in page["events"]):
                if event["message"].startswith("REPORT") and (duration := _DURATION.search(event["message"])):
                    found.calls[name] += 1
                    found.milliseconds[name] += round(float(duration[1]))
        return found
