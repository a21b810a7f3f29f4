"""The client against the server, without faults: what a machine goes through."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localstack.fly.faults import FaultClient
from mailtide.adapters.fly import FlyClient, FlyMachineHost
from mailtide.adapters.fly.errors import (
    FlyConflictError,
    FlyInvalidRequestError,
    FlyLeaseHeldError,
    FlyNameTakenError,
    FlyNotFoundError,
)
from mailtide.errors import NotFoundError
from tests.integration.fly.conftest import LARGE, SMALL, wanted
from tests.integration.fly.processes import environment_of, eventually, group_is_over


def pid_of(faults: FaultClient, machine_id: str) -> int:
    pid = next(row["pid"] for row in faults.machines() if row["id"] == machine_id)
    assert isinstance(pid, int)
    return pid


def test_a_machine_runs_with_its_own_environment_alone_and_destroys_itself(
    host: FlyMachineHost, client: FlyClient, log_of: Callable[[str], str]
) -> None:
    created = host.create(wanted("echo"))
    assert (created.state, created.region, created.size) == ("created", "iad", SMALL)
    assert client.wait(created.id, "destroyed", timeout_s=30) is not None
    ended = host.get(created.id)
    assert ended.gone
    assert (ended.exit_code, ended.oom_killed) == (0, False)
    assert ended.created_at is not None
    assert ended.started_at is not None
    assert ended.stopped_at is not None
    assert ended.started_at <= ended.stopped_at
    assert log_of(created.id) == "hello\n"


def test_a_machine_sees_nothing_of_the_servers_environment(
    host: FlyMachineHost, client: FlyClient, faults: FaultClient
) -> None:
    created = host.create(wanted())
    client.wait(created.id, "started", timeout_s=30)
    pid = pid_of(faults, created.id)
    assert eventually(lambda: Path(f"/proc/{pid}/exe").resolve().name != "sh")
    seen = environment_of(pid)
    machine_facts = {"FLY_MACHINE_ID": created.id, "FLY_APP_NAME": client.app, "FLY_REGION": "iad"}
    assert set(seen) - {"PWD", "OLDPWD", "SHLVL", "_"} == {"PATH", "HOME", "TMPDIR", "GREETING", *machine_facts}
    assert seen == seen | machine_facts


def test_auto_destroy_also_fires_on_a_failure(host: FlyMachineHost, client: FlyClient) -> None:
    created = host.create(wanted("echo", env={"CODE": "7"}))
    client.wait(created.id, "destroyed", timeout_s=30)
    assert host.get(created.id).exit_code == 7
    assert host.find({"run": "r1"}) == []


def test_the_events_tell_the_whole_life_latest_first(host: FlyMachineHost, client: FlyClient) -> None:
    created = host.create(wanted("echo"))
    client.wait(created.id, "destroyed", timeout_s=30)
    told = [(event.type, event.status) for event in reversed(client.events(created.id))]
    assert told == [
        ("launch", "created"),
        ("start", "starting"),
        ("start", "started"),
        ("exit", "stopped"),
        ("destroy", "destroying"),
        ("destroy", "destroyed"),
    ]


def test_find_needs_every_pair_of_the_metadata(host: FlyMachineHost) -> None:
    first = host.create(wanted(name="task-1"))
    second = host.create(wanted(name="task-2"))
    assert {machine.id for machine in host.find({"run": "r1"})} == {first.id, second.id}
    assert [machine.id for machine in host.find({"run": "r1", "task": "task-2"})] == [second.id]
    assert host.find({"run": "r2"}) == []


def test_destroy_kills_the_process_with_its_children_and_may_be_repeated(
    host: FlyMachineHost, client: FlyClient, faults: FaultClient
) -> None:
    created = host.create(wanted("forker"))
    client.wait(created.id, "started", timeout_s=30)
    pid = pid_of(faults, created.id)
    host.destroy(created.id)
    assert eventually(lambda: group_is_over(pid))
    host.destroy(created.id)
    host.destroy("00000000000000")
    assert host.get(created.id).state == "destroyed"


def test_a_killed_process_shows_as_137(host: FlyMachineHost, client: FlyClient, faults: FaultClient) -> None:
    created = host.create(wanted())
    client.wait(created.id, "started", timeout_s=30)
    os.kill(pid_of(faults, created.id), signal.SIGKILL)
    client.wait(created.id, "destroyed", timeout_s=30)
    ended = host.get(created.id)
    assert (ended.exit_code, ended.oom_killed) == (137, False)


def test_a_running_machine_is_destroyed_by_force_only(host: FlyMachineHost, client: FlyClient) -> None:
    created = host.create(wanted())
    client.wait(created.id, "started", timeout_s=30)
    with pytest.raises(FlyConflictError, match="412"):
        client.destroy(created.id)
    client.destroy(created.id, force=True)


def test_stop_and_start_again(host: FlyMachineHost, client: FlyClient) -> None:
    created = host.create(wanted(auto_destroy=False))
    client.wait(created.id, "started", timeout_s=30)
    client.start(created.id)
    client.stop(created.id)
    assert client.wait(created.id, "stopped", timeout_s=30) is not None
    client.stop(created.id)
    assert not host.get(created.id).running
    client.start(created.id)
    assert client.wait(created.id, "started", timeout_s=30) is not None
    assert host.get(created.id).running


def test_a_destroyed_machine_cannot_be_started(host: FlyMachineHost, client: FlyClient) -> None:
    created = host.create(wanted())
    host.destroy(created.id)
    with pytest.raises(FlyConflictError):
        client.start(created.id)


def test_the_lease_keeps_others_out_until_it_is_released_or_expires(host: FlyMachineHost, client: FlyClient) -> None:
    created = host.create(wanted(auto_destroy=False))
    lease = client.acquire_lease(created.id, ttl_s=30, description="test")
    with pytest.raises(FlyLeaseHeldError):
        client.acquire_lease(created.id, ttl_s=30)
    with pytest.raises(FlyConflictError):
        client.stop(created.id)
    client.stop(created.id, nonce=lease.nonce)
    with pytest.raises(FlyLeaseHeldError):
        client.release_lease(created.id, "wrong")
    client.release_lease(created.id, lease.nonce)
    client.release_lease(created.id, lease.nonce)
    client.acquire_lease(created.id, ttl_s=1)
    time.sleep(1.1)
    client.release_lease(created.id, client.acquire_lease(created.id, ttl_s=30).nonce)


def test_wait_gives_up_in_time_and_is_not_tried_again(
    host: FlyMachineHost, client: FlyClient, own_requests: Callable[[str], list[dict[str, object]]]
) -> None:
    created = host.create(wanted())
    began = time.monotonic()
    assert client.wait(created.id, "destroyed", timeout_s=1) is None
    assert time.monotonic() - began < 20
    assert [row["status"] for row in own_requests("wait")] == [408]


def test_a_live_name_is_taken_and_a_destroyed_one_free(host: FlyMachineHost) -> None:
    first = host.create(wanted())
    assert host.create(wanted()).id == first.id
    with pytest.raises(FlyNameTakenError) as caught:
        host.create(wanted(metadata={"run": "another"}))
    assert caught.value.machine_id == first.id
    host.destroy(first.id)
    assert host.create(wanted()).id != first.id


def test_what_is_not_there_is_not_found(host: FlyMachineHost, client: FlyClient) -> None:
    with pytest.raises(NotFoundError):
        host.get("00000000000000")
    with pytest.raises(FlyNotFoundError):
        client.start("00000000000000")


@pytest.mark.parametrize(
    "changes",
    [
        {"image": "unknown"},
        {"regions": ("xyz",)},
        {"sizes": (SMALL.model_copy(update={"memory_mb": 8192}),)},
        {"sizes": (LARGE.model_copy(update={"cpus": 3}),)},
    ],
)
def test_a_request_that_makes_no_sense_is_refused_at_once(
    host: FlyMachineHost, changes: dict[str, Any], own_requests: Callable[[str], list[dict[str, object]]]
) -> None:
    with pytest.raises(FlyInvalidRequestError):
        host.create(wanted(**changes))
    assert len(own_requests("create")) == 1
