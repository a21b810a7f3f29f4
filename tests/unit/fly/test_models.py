"""Fly's answers, also where they stray from the specification."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from mailtide.adapters.fly.models import CreateMachine, Lease, Machine, MachineEvent, last_exit
from mailtide.machines import MachineRequest, MachineSize

SIZE = MachineSize(cpu_kind="performance", cpus=2, memory_mb=4096)
REQUEST = MachineRequest(
    name="task-1", sizes=(SIZE,), image="mailtide:1", env={"URL": "https://secret"}, metadata={"run": "r"}
)


def test_a_create_says_all_that_has_a_bad_default() -> None:
    body = CreateMachine.of(REQUEST, "iad", SIZE).model_dump(exclude_none=True)
    assert body == {
        "name": "task-1",
        "region": "iad",
        "config": {
            "image": "mailtide:1",
            "guest": {"cpu_kind": "performance", "cpus": 2, "memory_mb": 4096},
            "env": {"URL": "https://secret"},
            "metadata": {"run": "r"},
            "auto_destroy": True,
            "restart": {"policy": "no"},
        },
    }
    assert "region" not in CreateMachine.of(REQUEST, None, SIZE).model_dump(exclude_none=True)
    large = CreateMachine.of(REQUEST.model_copy(update={"rootfs_gb": 20}), None, SIZE).model_dump(exclude_none=True)
    assert large["config"]["rootfs"] == {"size_gb": 20}


@pytest.mark.parametrize(
    ("request_field", "expected"),
    [
        ({"exit_event": {"exit_code": 3, "oom_killed": False}}, (3, False)),
        ({"MonitorEvent": {"exit_event": {"exit_code": 137, "oom_killed": True}}}, (137, True)),
        ({"MonitorEvent": None, "exit_event": {"exit_code": 1}}, (1, False)),
        ({"exit_event": {"requested_stop": True, "oom_killed": None, "exit_code": None}}, (0, False)),
        ({"exit_event": {"exited_at": "2026-11-21T22:53:19Z"}}, (0, False)),
        ({"MonitorEvent": {"exit_event": None}}, None),
        ({"exit_event": {"exit_code": "what"}}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_exit_is_found_wherever_it_is(request_field: object, expected: tuple[int, bool] | None) -> None:
    found = MachineEvent.model_validate({"type": "exit", "request": request_field}).exit
    assert (None if found is None else (found.exit_code, found.oom_killed)) == expected


def test_the_latest_exit_counts_in_any_order() -> None:
    rows = [{"timestamp": at, "request": {"exit_event": {"exit_code": at}}} for at in (2, 3, 1)]
    latest = last_exit([MachineEvent.model_validate(row) for row in [*rows, {"timestamp": 9, "request": None}]])
    assert latest is not None
    assert latest.timestamp == 3


def test_a_bare_machine_is_understood() -> None:
    info = Machine.model_validate({"id": "148e", "config": None, "events": None, "created_at": "", "new": [1]}).info
    assert (info.id, info.size, info.metadata, info.exit_code, info.created_at) == ("148e", None, {}, None, None)


def test_a_whole_machine_is_understood() -> None:
    info = Machine.model_validate(
        {
            "id": "148e",
            "name": "task-1",
            "state": "destroyed",
            "region": "ord",
            "incomplete_config": {
                "guest": {"cpu_kind": "performance", "cpus": 2, "memory_mb": 4096},
                "metadata": {"a": "b"},
            },
            "created_at": "2026-11-21T22:53:19Z",
            "events": [
                {"type": "exit", "status": "stopped", "timestamp": 2_000, "request": {"exit_event": {"exit_code": 9}}},
                {"type": "start", "status": "started", "timestamp": 1_000, "request": None},
            ],
        }
    ).info
    assert info.gone
    assert not info.running
    assert (info.size, info.metadata, info.exit_code) == (SIZE, {"a": "b"}, 9)
    assert info.created_at == datetime(2026, 11, 21, 22, 53, 19, tzinfo=UTC)
    assert info.started_at == datetime.fromtimestamp(1, UTC)
    assert info.stopped_at == datetime.fromtimestamp(2, UTC)


@pytest.mark.parametrize("wrap", [lambda lease: lease, lambda lease: {"status": "success", "data": lease}])
def test_a_lease_comes_bare_or_wrapped(wrap: object) -> None:
    assert callable(wrap)
    lease = Lease.model_validate(wrap({"nonce": "abc", "expires_at": 1, "owner": "me"}))
    assert (lease.nonce, lease.expires_at) == ("abc", 1)


@pytest.mark.parametrize(
    "changes",
    [{"name": ""}, {"name": "Upper"}, {"name": "x" * 64}, {"sizes": ()}, {"image": ""}, {"regionz": ()}],
)
def test_an_impossible_request_cannot_be_made(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MachineRequest.model_validate(REQUEST.model_dump() | changes)


def test_the_environment_is_in_no_repr() -> None:
    assert "secret" not in f"{REQUEST!r} {REQUEST} {CreateMachine.of(REQUEST, None, SIZE)!r}"
