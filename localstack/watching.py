"""A run as its objects in the bucket tell it, while it happens."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from localstack.processes import LocalCloudError
from mailtide.contracts import Contract, Done, Launch, Part, Plan
from mailtide.runs import keys

POLL_S = 0.1


class RunWatcher:
    """Reads one organisation's runs from the bucket; it writes nothing and calls nothing."""

    def __init__(self, s3: Any, bucket: str, org: str) -> None:  # noqa: ANN401 - a boto3 client
        self._s3 = s3
        self._bucket = bucket
        self._org = org

    def new_objects(self, timeout_s: float) -> Iterator[str]:
        """The key of each object of the organisation's runs as it appears; ends with done.json.

        LocalCloudError when that has not come after `timeout_s`.
        """
        seen: set[str] = set()
        ends_at = time.monotonic() + timeout_s
        while time.monotonic() < ends_at:
            for key in self._list():
                if key not in seen:
                    seen.add(key)
                    yield key
                    if key.endswith("/done.json"):
                        return
            time.sleep(POLL_S)
        raise LocalCloudError(f"the run had not ended after {timeout_s:.0f} s (the logs are in .local/logs)")

    def _list(self) -> list[str]:
        """Keys in the order in which they were written."""
        found = []
        for prefix in (f"{keys.OPEN}{self._org}/", f"{keys.RUNS}{self._org}/"):
            answer = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix)
            found += [(entry["LastModified"], entry["Key"]) for entry in answer.get("Contents", [])]
        # done.json is reported last even when it is listed with others that are new.
        return [key for _, key in sorted(found, key=lambda item: (item[1].endswith("/done.json"), item[0]))]

    def read[T: Contract](self, key: str, model: type[T]) -> T:
        """The object at a key."""
        return model.model_validate_json(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())


def describe(watcher: RunWatcher, key: str) -> str | None:
    """What a new object means, in a few words; None for those that say nothing new."""
    name = key.rpartition("/")[2]
    if key.startswith(keys.OPEN):
        return "the upload woke plan_run, which opened a run"
    tell = _MEANINGS.get(name)
    if tell is None and "/parts/" in key:
        tell = _delivered
    return tell(watcher, key) if tell else None


def _planned(watcher: RunWatcher, key: str) -> str:
    plan = watcher.read(key, Plan)
    if plan.rejected is not None or plan.inspection is None:
        return "plan_run refused the database"
    read = plan.inspection
    return (
        f"planned: about {read.contacts_estimate:,} contacts, estimated from {read.bytes_read / 1024:,.0f} kB in "
        f"{read.requests} ranged reads; {_machines(plan)}, {plan.expected_s:.0f} s and ${plan.expected_usd:.4f} expected"
    )


def _machines(plan: Plan) -> str:
    chunks = [task for task in plan.tasks if task.kind == "chunk"]
    last = plan.tasks[-1].sizes[0]
    return f"{len(chunks)} × {chunks[0].sizes[0]}, then a merge on {last}" if chunks else f"one {last}"


def _launched(watcher: RunWatcher, key: str) -> str:
    launch = watcher.read(key, Launch)
    return (
        f"machine {launch.machine_id} created in {launch.region or 'a region of its choice'}, for {_whose(key)} alone"
    )


def _whose(key: str) -> str:
    """The task of an object, in words."""
    found = keys.parse_try(key)
    task = found[0].task if found else key.rpartition("/")[2].removesuffix(".json")
    return "this run" if task == "whole" else task.replace("chunk-", "chunk ").replace("merge", "the merge")


def _delivered(watcher: RunWatcher, key: str) -> str:
    times = watcher.read(key, Part).manifest.timings
    whose = "" if key.endswith("/whole.json") else f"{_whose(key)} "
    steps = f"fetched in {times.fetch_s:.2f} s, scheduled in {times.pass_s:.2f} s, sent in {times.deliver_s:.2f} s"
    return f"{whose}delivered: {steps}"


def _finished(watcher: RunWatcher, key: str) -> str:
    done = watcher.read(key, Done)
    return f"{done.status}: {done.reason}" if done.reason else done.status


def _of_task(text: str) -> Callable[[RunWatcher, str], str]:
    """Whose it is stands before it where a run has several machines."""

    def tell(_watcher: RunWatcher, key: str) -> str:
        whose = _whose(key)
        return text if whose == "this run" else f"{whose}: {text}"

    return tell


def _constant(text: str) -> Callable[[RunWatcher, str], str]:
    return lambda _watcher, _key: text


_MEANINGS: dict[str, Callable[[RunWatcher, str], str]] = {
    "plan.json": _planned,
    "launch.json": _launched,
    "claim.json": _of_task("the machine is up and has claimed its task"),
    "error.json": _of_task("the try failed"),
    "result.json": _constant("the outcome is decided; finish_run publishes it"),
    "done.json": _finished,
}
