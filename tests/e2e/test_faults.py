"""Every fault of the design on the deployed template ends in exactly one published schedule or one clear failure."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localstack.cloud import LocalCloud
from localstack.fly import faults
from localstack.fly.faults import FaultClient, MachineFault, RequestFault
from mailtide.runs import keys
from tests.e2e.scenario import Organisation, Wait, make_database


@pytest.fixture(scope="module")
def fly(cloud: LocalCloud) -> Iterator[FaultClient]:
    with FaultClient(cloud.fly_api_url.removesuffix("/v1")) as client:
        yield client
        client.remove()


def _of(org: str) -> dict[str, str]:
    return {"org": org}


MACHINE_FAULTS: dict[str, tuple[Callable[[str], list[MachineFault]], str]] = {
    "crash-on-boot": (lambda org: [faults.CrashOnBoot(metadata=_of(org))], "published"),
    "killed": (lambda org: [faults.Kill(metadata=_of(org), after_s=0.2)], "published"),
    "exit-code": (lambda org: [faults.ExitCode(metadata=_of(org), exit_code=3, after_s=0.2)], "published"),
    "out-of-memory": (lambda org: [faults.OutOfMemory(metadata=_of(org), after_s=0.1)], "published"),
    "vanished": (lambda org: [faults.Vanish(metadata=_of(org), after_s=0.1)], "published"),
    "hangs": (lambda org: [faults.Hang(metadata=_of(org))], "published"),
    "slow-boot": (lambda org: [faults.SlowBoot(metadata=_of(org), delay_s=4)], "published"),
    "hidden": (lambda org: [faults.Hidden(metadata=_of(org), for_s=6)], "published"),
    "lies-about-exit": (lambda org: [faults.ExitCode(metadata=_of(org), exit_code=9)], "published"),
    "crashes-twice": (lambda org: [faults.CrashOnBoot(metadata=_of(org), count=2)], "published"),
    "always-crashes": (lambda org: [faults.CrashOnBoot(metadata=_of(org), count=None)], "failed"),
    "always-out-of-memory": (lambda org: [faults.OutOfMemory(metadata=_of(org), count=None)], "failed"),
}


@pytest.fixture(scope="module")
def struck(cloud: LocalCloud, fly: FaultClient, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Organisation]:
    """An organisation for each fault of a machine, all at work at once."""
    found = {}
    for name, (plant, _) in MACHINE_FAULTS.items():
        organisation = Organisation(cloud, f"machine-{name}", tmp_path_factory.mktemp(name))
        for fault in plant(organisation.name):
            fly.plant(fault)
        organisation.upload(make_database(organisation.folder / "a.db"))
        found[name] = organisation
    return found


@pytest.mark.parametrize("name", list(MACHINE_FAULTS))
def test_a_machine_that_fails(
    struck: dict[str, Organisation], name: str, wait_for_done: Wait, wake_watcher: Callable[[], None]
) -> None:
    organisation = struck[name]
    done = wait_for_done(organisation.name, between=wake_watcher)
    if MACHINE_FAULTS[name][1] == "published":
        organisation.assert_published(done)
    else:
        organisation.assert_failed(done)
        assert done.tries == 3


REQUEST_FAULTS: dict[str, list[RequestFault]] = {
    "rate-limited": [faults.RateLimited(action="create", count=3)],
    "500-before": [faults.ServerError(action="create", when="before")],
    "500-after": [faults.ServerError(action="create", when="after")],
    "503-twice": [faults.ServerError(action="create", status=503, count=2)],
    "dropped-before": [faults.Dropped(action="create", when="before")],
    "dropped-after": [faults.Dropped(action="create", when="after")],
    "timed-out-after": [faults.TimeOut(action="create", when="after", hang_s=2)],
    "no-capacity-first-region": [faults.NoCapacity(region="iad", count=None)],
    "no-capacity-aborted": [faults.NoCapacity(region="iad", wording="aborted", count=None)],
    "no-capacity-first-size": [faults.NoCapacity(memory_mb=1_024, count=None)],
    "over-quota-once": [faults.NoCapacity(wording="over_quota", count=1)],
    "nowhere-for-a-while": [faults.NoCapacity(count=20)],
    "not-found-just-after": [faults.NotFound(action="get", count=3)],
    "watcher-blind": [faults.ServerError(action="list", count=4), faults.ServerError(action="get", count=2)],
}


@pytest.mark.parametrize("name", list(REQUEST_FAULTS))
def test_an_api_that_fails(
    cloud: LocalCloud,
    fly: FaultClient,
    tmp_path: Path,
    name: str,
    wait_for_done: Wait,
    wake_watcher: Callable[[], None],
) -> None:
    organisation = Organisation(cloud, f"api-{name}", tmp_path)
    for fault in REQUEST_FAULTS[name]:
        fly.plant(fault)
    try:
        organisation.upload(make_database(tmp_path / "a.db"))
        done = wait_for_done(organisation.name, between=wake_watcher)
    finally:
        fly.remove()
    organisation.assert_published(done)


def test_a_revoked_token_is_one_clear_failure(
    cloud: LocalCloud, fly: FaultClient, tmp_path: Path, wait_for_done: Wait, wake_watcher: Callable[[], None]
) -> None:
    organisation = Organisation(cloud, "api-revoked", tmp_path)
    fly.plant(faults.Unauthorized(action="create", count=None))
    try:
        organisation.upload(make_database(tmp_path / "a.db"))
        done = wait_for_done(organisation.name, between=wake_watcher)
    finally:
        fly.remove()
    organisation.assert_failed(done)
    assert cloud.fly_token not in str(done.reason)


def _rules(cloud: LocalCloud) -> list[str]:
    names = [rule["Name"] for rule in cloud.client("events").list_rules()["Rules"]]
    return [name for name in names if any(part in name for part in ("SourceUploaded", "TryEnded", "ResultWritten"))]


@pytest.mark.parametrize("lost", ["SourceUploaded", "TryEnded", "ResultWritten", ""])
def test_lost_events(
    cloud: LocalCloud, tmp_path: Path, lost: str, wait_for_done: Wait, wake_watcher: Callable[[], None]
) -> None:
    """The rule is switched off, so its events are lost for good; with an empty name all three are."""
    events = cloud.client("events")
    switched_off = [name for name in _rules(cloud) if lost in name]
    assert len(switched_off) == (1 if lost else 3)
    organisation = Organisation(cloud, f"lost-{lost.lower() or 'all'}", tmp_path)
    for name in switched_off:
        events.disable_rule(Name=name)
    try:
        organisation.upload(make_database(tmp_path / "a.db"))
        done = wait_for_done(organisation.name, between=wake_watcher)
    finally:
        for name in switched_off:
            events.enable_rule(Name=name)
    organisation.assert_published(done)


def test_doubled_and_late_events(
    cloud: LocalCloud, tmp_path: Path, wait_for_done: Wait, wake_watcher: Callable[[], None]
) -> None:
    """Every message of a run three times over, while it runs and again after it has ended."""
    organisation = Organisation(cloud, "doubled", tmp_path)
    organisation.upload(make_database(tmp_path / "a.db"))
    ends_at = time.monotonic() + 6
    while time.monotonic() < ends_at:
        for run in {key.split("/")[2] for key in organisation.listed(f"{keys.RUNS}{organisation.name}/")}:
            named: dict[str, object] = {"org": organisation.name, "run": run}
            attempt = {**named, "task": "whole", "attempt": 1}
            organisation.send("plan", {"kind": "plan", "org": organisation.name})
            organisation.send("plan", {"kind": "plan", **named})
            organisation.send("launch", {"kind": "launch", **attempt})
            organisation.send("collect", {"kind": "collect", **attempt})
            organisation.send("finish", {"kind": "finish", **named})
        time.sleep(0.5)
    done = wait_for_done(organisation.name, between=wake_watcher)
    time.sleep(2)
    organisation.assert_published(done)
    assert len(organisation.endings()) == 1


def test_nothing_ended_in_a_dead_letter_queue(cloud: LocalCloud) -> None:
    """After all of the above: what failed was tried again and came right."""
    sqs = cloud.client("sqs")
    for name in ("plan", "collect", "finish", "watch"):
        url = cloud.stack.dead_letters_url(name)
        left = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0).get("Messages", [])
        assert [json.loads(message["Body"]) for message in left] == [], name
