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
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the deployed template."""
    for item in items:
        if item.nodeid.startswith("tests/e2e/"):
            item.add_marker(pytest.mark.e2e)


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


@pytest.fixture
def wait_for_done(cloud: LocalCloud) -> Callable[..., Done]:
    """Wait until a run of an organisation has ended and its marker is gone; the newest done.json. Fails after `timeout_s`.

    between: called every second meanwhile, such as wake_watcher.
    """
    s3 = cloud.client("s3")

    def listed(prefix: str) -> list[dict[str, object]]:
        found: list[dict[str, object]] = s3.list_objects_v2(Bucket=cloud.stack.bucket, Prefix=prefix).get(
            "Contents", []
        )
        return found

    def wait(org: str, *, count: int = 1, timeout_s: float = 60.0, between: Callable[[], None] | None = None) -> Done:
        ends_at, next_call = time.monotonic() + timeout_s, time.monotonic() + 1.0
        while time.monotonic() < ends_at:
            ended = [entry for entry in listed(f"{keys.RUNS}{org}/") if str(entry["Key"]).endswith("/done.json")]
            if len(ended) >= count and not listed(f"{keys.OPEN}{org}/"):
                newest = max(ended, key=lambda entry: str(entry["LastModified"]))
                body = s3.get_object(Bucket=cloud.stack.bucket, Key=newest["Key"])["Body"].read()
                return Done.model_validate_json(body)
            if between is not None and time.monotonic() >= next_call:
                between()
                next_call = time.monotonic() + 1.0
            time.sleep(0.1)
        objects = "\n".join(
            str(entry["Key"]) for entry in [*listed(f"{keys.RUNS}{org}/"), *listed(f"{keys.OPEN}{org}/")]
        )
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
