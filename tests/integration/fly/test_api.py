"""What the server does that the client does not ask for, request by request."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from localstack.fly.faults import FaultClient, Kill
from localstack.fly.server import Running
from mailtide.adapters.fly import FlyClient, FlyMachineHost
from tests.integration.fly.conftest import TOKEN, wanted
from tests.integration.fly.judge import JudgingTransport
from tests.integration.fly.processes import eventually
from tests.support.plain_http import NO_AUTHORITIES

CONFIG: dict[str, Any] = {"image": "sleeper", "metadata": {"run": "r1"}}


@pytest.fixture
def api(server: Running, transport: JudgingTransport) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=f"{server.base_url}/apps/api-{secrets.token_hex(4)}",
        headers={"Authorization": f"Bearer {TOKEN}"},
        transport=transport,
    ) as client:
        yield client
        for machine in client.get("/machines").json():
            client.delete(f"/machines/{machine['id']}", params={"force": "true"})


def created(api: httpx.Client, **config: object) -> dict[str, Any]:
    answer: dict[str, Any] = api.post("/machines", json={"config": CONFIG | config}).raise_for_status().json()
    return answer


def state_of(api: httpx.Client, machine_id: str) -> str:
    return str(api.get(f"/machines/{machine_id}").json()["state"])


def exits_of(api: httpx.Client, machine_id: str) -> list[dict[str, Any]]:
    events = api.get(f"/machines/{machine_id}/events").json()
    return [event["request"]["exit_event"] for event in events if event["type"] == "exit"]


def test_no_token_no_answer(server: Running) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        answer = httpx.get(f"{server.base_url}/apps/a/machines", headers=headers, verify=NO_AUTHORITIES)
        assert (answer.status_code, set(answer.json())) == (401, {"error"})


def test_what_breaks_the_specification_is_refused(server: Running) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{server.base_url}/apps/a/machines"
    config = CONFIG | {"auto_destory": True}
    wrong = httpx.post(url, headers=headers, json={"config": config}, verify=NO_AUTHORITIES)
    assert wrong.status_code == 400
    assert "auto_destory" in wrong.json()["error"]
    secrets_url = f"{server.base_url}/apps/a/secrets"
    assert httpx.get(secrets_url, headers=headers, verify=NO_AUTHORITIES).status_code == 501


def test_defaults_are_those_of_fly(api: httpx.Client) -> None:
    machine = created(api)
    assert machine["state"] == "created"
    assert machine["region"] == "iad"
    assert machine["config"]["guest"] == {"cpu_kind": "shared", "cpus": 1, "memory_mb": 256}
    assert len(machine["id"]) == 14
    assert len(machine["instance_id"]) == 26


def test_without_a_policy_a_failing_machine_is_restarted(api: httpx.Client) -> None:
    machine = created(api, image="echo", env={"CODE": "3"}, restart={"policy": "on-failure", "max_retries": 2})
    assert eventually(lambda: len(exits_of(api, machine["id"])) == 3)
    assert [exit_event.get("restarting", False) for exit_event in exits_of(api, machine["id"])] == [False, True, True]
    assert state_of(api, machine["id"]) == "stopped"


def test_a_zero_exit_is_left_out_of_the_event_as_fly_does(api: httpx.Client) -> None:
    machine = created(api, image="echo", restart={"policy": "no"})
    assert eventually(lambda: state_of(api, machine["id"]) == "stopped")
    assert [set(exit_event) for exit_event in exits_of(api, machine["id"])] == [{"exited_at"}]


def test_lists_are_filtered(api: httpx.Client) -> None:
    first = created(api)
    second = api.post("/machines", json={"region": "ord", "config": CONFIG | {"metadata": {}}}).json()
    gone = created(api)
    api.delete(f"/machines/{gone['id']}", params={"force": "true"})
    assert eventually(lambda: state_of(api, first["id"]) == state_of(api, second["id"]) == "started")

    def ids(**params: str) -> list[str]:
        return [machine["id"] for machine in api.get("/machines", params=params).json()]

    assert ids() == [first["id"], second["id"]]
    assert ids(region="ord") == [second["id"]]
    assert ids(state="stopped,suspended") == []
    assert ids(state="started,stopped") == [first["id"], second["id"]]
    assert ids(include_deleted="true") == [first["id"], second["id"], gone["id"]]
    assert api.get("/machines", params={"metadata.run": "r1", "summary": "true"}).json()[0].keys() == {
        "id",
        "name",
        "state",
        "region",
        "instance_id",
        "created_at",
        "updated_at",
    }


def test_an_update_makes_a_new_version_and_boots_it(api: httpx.Client) -> None:
    machine = created(api)
    changed = {"config": CONFIG | {"env": {"A": "b"}}, "current_version": machine["instance_id"]}
    updated = api.post(f"/machines/{machine['id']}", json=changed).raise_for_status().json()
    assert updated["instance_id"] != machine["instance_id"]
    assert [row["version"] for row in api.get(f"/machines/{machine['id']}/versions").json()] == [
        updated["instance_id"],
        machine["instance_id"],
    ]
    assert eventually(lambda: state_of(api, machine["id"]) == "started")
    stale = {"config": CONFIG, "current_version": machine["instance_id"]}
    assert api.post(f"/machines/{machine['id']}", json=stale).status_code == 409


def test_metadata_is_read_and_changed_alone(api: httpx.Client) -> None:
    path = f"/machines/{created(api)['id']}/metadata"
    assert api.get(path).json() == {"run": "r1"}
    assert api.post(f"{path}/step", json={"value": "2"}).status_code == 204
    assert api.get(f"{path}/step").json() == {"value": "2"}
    assert api.patch(path, json={"metadata": {"run": "", "a": "b"}}).status_code == 204
    assert api.delete(f"{path}/step").status_code == 204
    assert api.get(path).json() == {"a": "b"}
    assert api.get(f"{path}/step").status_code == 404
    assert api.put(path, json={"metadata": {}, "machine_version": "old"}).status_code == 412


def test_signals_and_restarts_reach_the_process(api: httpx.Client, faults: FaultClient) -> None:
    machine_id = created(api, restart={"policy": "no"})["id"]
    api.get(f"/machines/{machine_id}/wait", params={"timeout": 5})

    def pid() -> int | None:
        found: int | None = next(row["pid"] for row in faults.machines() if row["id"] == machine_id)
        return found

    first = pid()
    assert api.post(f"/machines/{machine_id}/restart", params={"timeout": "2s"}).status_code == 200
    assert eventually(lambda: pid() not in (first, None))
    assert api.post(f"/machines/{machine_id}/signal", json={"signal": "SIGTERM"}).status_code == 200
    assert eventually(lambda: state_of(api, machine_id) == "stopped")
    assert exits_of(api, machine_id)[0]["exit_code"] == 143
    assert api.post(f"/machines/{machine_id}/signal", json={"signal": "SIGTERM"}).status_code == 412


def test_a_process_that_ignores_its_stop_signal_is_killed(api: httpx.Client, tmp_path: Path) -> None:
    ignores = tmp_path / "ignores"
    stubborn = {"exec": ["/bin/sh", "-c", f"trap '' INT TERM; : > {ignores}; while :; do sleep 0.1; done"]}
    machine_id = created(api, init=stubborn, restart={"policy": "no"})["id"]
    assert eventually(ignores.exists, 30)
    api.post(f"/machines/{machine_id}/stop", json={"signal": "SIGTERM", "timeout": "2s"})
    assert state_of(api, machine_id) == "stopping"
    assert (
        api.get(f"/machines/{machine_id}/wait", params={"state": "stopped", "timeout": 30}).json()["state"] == "stopped"
    )
    assert exits_of(api, machine_id)[0] == exits_of(api, machine_id)[0] | {"exit_code": 137, "requested_stop": True}


def test_waits_know_versions_and_events_and_their_limit(api: httpx.Client) -> None:
    machine = created(api)
    wait = f"/machines/{machine['id']}/wait"
    started = api.get(wait, params={"instance_id": machine["instance_id"], "timeout": 5}).json()
    assert started["version"] == machine["instance_id"]
    late = api.get(wait, params={"from_event_id": started["event_id"], "timeout": 1})
    assert late.status_code == 408
    first_event = api.get(f"/machines/{machine['id']}/events").json()[-1]["id"]
    assert api.get(wait, params={"from_event_id": first_event, "timeout": 1}).json() == started
    assert api.get(wait, params={"timeout": 61}).status_code == 400
    assert api.get(wait, params={"version": "unknown"}).status_code == 400
    assert len(api.get(f"/machines/{machine['id']}/events", params={"limit": 1}).json()) == 1


def test_a_machine_can_be_created_leased_and_not_launched(api: httpx.Client) -> None:
    machine = api.post("/machines", json={"config": CONFIG, "skip_launch": True, "lease_ttl": 30}).json()
    path = f"/machines/{machine['id']}"
    assert state_of(api, machine["id"]) == "created"
    assert api.post(f"{path}/start").status_code == 409
    nonce = {"fly-machine-lease-nonce": machine["nonce"]}
    assert api.post(f"{path}/start", headers=nonce).json() == {"previous_state": "created"}
    assert api.get(f"{path}/lease").json()["nonce"] == machine["nonce"]
    assert api.delete(f"{path}/lease", headers=nonce).status_code == 200
    assert api.get(f"{path}/lease").status_code == 404


def test_twenty_launchers_at_once_make_one_machine(
    client: FlyClient, own_requests: Callable[[str], list[dict[str, object]]]
) -> None:
    host = FlyMachineHost(client)
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda _: host.create(wanted()).id, range(20)))
    assert len(set(made)) == 1
    assert sorted(str(row["status"]) for row in own_requests("create")) == ["200", *["409"] * 19]


def test_planted_faults_are_checked_listed_and_removed(server: Running, faults: FaultClient) -> None:
    refused = httpx.post(f"{server.origin}/_faults", json={"kind": "kill", "after": 3}, verify=NO_AUTHORITIES)
    assert refused.status_code == 422
    assert "after" in str(refused.json()["error"])
    fault_id = faults.plant(Kill(machine_name="nobody"))
    assert [(row["id"], row["left"]) for row in faults.planted()] == [(fault_id, 1)]
    faults.remove(fault_id)
    assert faults.planted() == []
    assert httpx.delete(f"{server.origin}/_faults/{fault_id}", verify=NO_AUTHORITIES).status_code == 404
