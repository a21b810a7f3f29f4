"""The deployed template, once for all end-to-end tests: MiniStack, the Fly Machines server and real machine processes."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from localstack.cloud import ROOT, STATE, LocalCloud
from mailtide.contracts import Done
from mailtide.runs import keys

# Short, so that what the watcher and the queues mend is mended while a test waits.
PARAMETERS = {
    "WatchStallS": "4",
    "LockTtlS": "30",
    "TaskTimeoutS": "20",
    "RunTimeoutS": "120",
    "RetryAfterS": "10",
    "LogLevel": "DEBUG",
    "WarmupTickMinutes": "1",
    "WarmupShards": "2",
    "WarmupMinDailyQuota": "1",
    "WarmupMailboxCooldownMinMs": "0",
    "WarmupMailboxCooldownMaxMs": "200",
    "WarmupStaggerMinMs": "0",
    "WarmupStaggerMaxMs": "100",
    "WarmupReadMinutes": "1",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the deployed template."""
    for item in items:
        if item.nodeid.startswith("tests/e2e/"):
            item.add_marker(pytest.mark.e2e)
            # The first waits for the whole cloud; whoever waits for a run says by himself what it hangs on.
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud(parameters=PARAMETERS, logs=STATE / "logs" / "e2e", fly_rate_limit="off") as running:
        yield running


@pytest.fixture
def wake_watcher(cloud: LocalCloud) -> Callable[[], None]:
    """Send what the schedule sends every minute, now."""

    def wake() -> None:
        body = json.dumps({"kind": "watch"})
        cloud.client("sqs").send_message(QueueUrl=cloud.stack.queue_url("watch"), MessageBody=body)

    return wake


class Endings:
    """What stands in the bucket of the runs of an organisation."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._bucket = cloud.stack.bucket
        self._s3 = cloud.client("s3")

    def listed(self, prefix: str) -> list[str]:
        found = self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix).get("Contents", [])
        return [entry["Key"] for entry in found]

    def newest(self, org: str, count: int) -> Done | None:
        """The newest of at least `count` endings when no run is open; None otherwise."""
        if self._is_open(org):
            return None
        ended = [key for key in self.listed(f"{keys.RUNS}{org}/") if key.endswith("/done.json")]
        # A marker may have come again before the endings were listed.
        if len(ended) < count or self._is_open(org):
            return None
        return max(map(self._read, ended), key=lambda done: done.finished_at)

    def _is_open(self, org: str) -> bool:
        return bool(self.listed(f"{keys.OPEN}{org}/"))

    def _read(self, key: str) -> Done:
        return Done.model_validate_json(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())


@pytest.fixture
def wait_for_done(cloud: LocalCloud) -> Callable[..., Done]:
    """Wait until a run of an organisation has ended and its marker is gone; the newest done.json. Fails after `timeout_s`.

    between: called every one and a half seconds meanwhile, such as wake_watcher.
    """
    endings = Endings(cloud)

    def wait(org: str, *, count: int = 1, timeout_s: float = 180.0, between: Callable[[], None] | None = None) -> Done:
        ends_at, next_call = time.monotonic() + timeout_s, time.monotonic() + 1.5
        while time.monotonic() < ends_at:
            if done := endings.newest(org, count):
                return done
            if between is not None and time.monotonic() >= next_call:
                between()
                next_call = time.monotonic() + 1.5
            time.sleep(0.15)
        objects = "\n".join([*endings.listed(f"{keys.RUNS}{org}/"), *endings.listed(f"{keys.OPEN}{org}/")])
        pytest.fail(
            f"{org}: no end after {timeout_s:.0f} s; logs in {os.path.relpath(cloud.logs)}; objects:\n{objects}"
        )

    return wait


type Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="session")
def ask(cloud: LocalCloud) -> Ask:
    """Send a request to the deployed API with a token that was made as a person would: an operator's, or `token="webhook"`."""

    def add(scope: str) -> str:
        made = subprocess.run(
            [str(ROOT / ".venv" / "bin" / "mailtide"), "tokens", "add", f"e2e-{scope}", f"--{scope}"],
            env={"PATH": os.defpath, **cloud.environment},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return made.stdout.strip()

    # Both before the first request: the function knows a later one only after a minute.
    tokens = {scope: add(scope) for scope in ("operator", "webhook")}

    def ask(method: str, path: str, *, token: str = "operator", **arguments: Any) -> httpx.Response:  # noqa: ANN401, S107 - httpx's own; a name
        headers = {"Authorization": f"Bearer {tokens[token]}", **arguments.pop("headers", {})}
        return httpx.request(method, cloud.api_url + path, headers=headers, timeout=60, trust_env=False, **arguments)

    return ask
