"""`mailtide fly` as a person types it, against the server."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from localstack.fly.server import Running
from mailtide.adapters.fly import FlyClient, FlyMachinePool
from mailtide.machines import Setup
from mailtide.runs.pool.kept import name_of
from tests.integration.fly.conftest import LARGE, SMALL, TOKEN
from tests.support import forkserver


@dataclass(frozen=True)
class Shell:
    """The command with the settings of one app's pool."""

    environment: dict[str, str]

    def __call__(self, *arguments: str, code: int = 0, **changes: str) -> str:
        done = forkserver.command("fly", *arguments, env=self.environment | changes, timeout_s=60)
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def facts(self, *arguments: str, **changes: str) -> Any:  # noqa: ANN401 - whatever JSON it is
        return json.loads(self(*arguments, "--json", code=0, **changes))


@pytest.fixture
def fly(client: FlyClient, server: Running) -> Shell:
    return Shell(
        {
            "MAILTIDE_FLY_APP": client.app,
            "MAILTIDE_FLY_TOKEN": TOKEN,
            "MAILTIDE_FLY_API_URL": server.base_url,
            "MAILTIDE_MACHINE_IMAGE": "echo",
            "MAILTIDE_POOL_SIZE": "2",
            "MAILTIDE_POOL_MACHINE_SIZE": SMALL.model_dump_json(),
            "MAILTIDE_POOL_VOLUME_GB": "3",
            "COLUMNS": "200",
        }
    )


def test_deploy_makes_the_pool_and_brings_it_to_other_settings(fly: Shell, client: FlyClient) -> None:
    made = fly.facts("deploy")
    assert (made["made"], made["wanted"], made["app"]) == ([name_of(1), name_of(2)], 2, client.app)
    # Two volumes of 3 GB and two root file systems of 0.6 GB at 0.15 dollars.
    assert made["usd_per_month"] == pytest.approx(2 * 3.6 * 0.15)
    assert {machine.state for machine in client.machines()} == {"created"}
    assert all(machine.config is not None and machine.config.auto_destroy is False for machine in client.machines())
    again = fly.facts("deploy", MAILTIDE_MACHINE_IMAGE="sleeper")
    assert (again["made"], again["changed"], again["removed"]) == ([], [name_of(1), name_of(2)], [])
    fewer = fly.facts("deploy", MAILTIDE_MACHINE_IMAGE="sleeper", MAILTIDE_POOL_SIZE="1")
    assert (fewer["changed"], fewer["removed"]) == ([], [name_of(2)])
    larger = {"MAILTIDE_POOL_MACHINE_SIZE": LARGE.model_dump_json(), "MAILTIDE_POOL_SIZE": "1"}
    changed = fly.facts("deploy", **larger)
    assert (changed["removed"], changed["made"]) == ([name_of(1)], [name_of(1)])
    assert "0 of 0 machines" in fly("deploy", MAILTIDE_POOL_SIZE="0")
    assert client.machines() == []
    assert client.volumes() == []


def test_a_visit_from_start_to_stop(fly: Shell, client: FlyClient) -> None:
    fly("deploy")
    assert "No kept machine runs; mailtide fly start starts one" in fly("ssh-command", code=2)
    started = fly.facts("start", "--minutes", "5")
    assert started["command"] == f"flyctl ssh console --app {client.app} --machine {started['id']}"
    client.wait(started["id"], "started", timeout_s=5)
    assert fly.facts("start")["id"] == started["id"]
    assert fly("ssh-command").strip() == started["command"]
    assert ", visit until " in fly("status")
    assert fly.facts("stop") == {"stopped": [started["name"]]}
    assert client.get(started["id"]).state == "stopped"
    assert fly("stop", "--machine", started["name"]) == "No machine was running for a visit.\n"
    assert [row["visit_until"] for row in fly.facts("status")["machines"]] == [None, None]


def test_a_machine_with_a_task_is_neither_visited_nor_stopped(fly: Shell, client: FlyClient) -> None:
    fly("deploy", MAILTIDE_POOL_SIZE="1")
    (kept,) = client.machines()
    named = {"org": "acme", "run": "ab" * 10, "task": "whole", "try": "1"}
    metadata = {**kept.info.metadata, **named}
    empty = Setup(image="sleeper", size=SMALL, metadata=metadata)
    task = empty.model_copy(update={"env": {"MAILTIDE_TASK_URL": "https://bucket/secret"}})
    assert FlyMachinePool(client).hand_over(kept.id, kept.instance_id, task, otherwise=empty) is not None
    assert "works on run abababababababababab of acme" in fly("stop", "--machine", name_of(1), code=2)
    assert "have a task" in fly("start", code=2)
    assert fly.facts("deploy", MAILTIDE_POOL_SIZE="0")["busy"] == [name_of(1)]
    told = fly("status")
    assert f"acme/{'ab' * 10}/whole/1" in told
    assert "old image" in told
    assert "secret" not in told + fly("status", "--json")


def test_what_is_wrong_is_said_in_one_sentence(fly: Shell, client: FlyClient, own_requests: Callable[..., Any]) -> None:
    cases: tuple[tuple[tuple[str, ...], dict[str, str], str], ...] = (
        (("status",), {"MAILTIDE_FLY_TOKEN": "wrong"}, "does not let this token"),
        (("deploy",), {"MAILTIDE_POOL_SIZE": "many"}, "MAILTIDE_POOL_SIZE is not usable"),
        (("deploy",), {"MAILTIDE_MACHINE_IMAGE": "registry.fly.io/none"}, "could not resolve image"),
        (("start",), {}, "mailtide fly deploy makes them"),
        (("start", "--minutes", "0"), {}, "0 is not in the range"),
        (("ssh-command", "--machine", "x"), {}, "mailtide fly deploy makes them"),
    )
    for arguments, changes, expected in cases:
        told = fly(*arguments, code=2, **changes)
        assert expected in told
        assert told.count("\n") == 1
        assert TOKEN not in told
    assert client.volumes() == []
    assert len(own_requests("volume_delete")) == 1
