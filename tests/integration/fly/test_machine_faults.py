"""Each way in which a machine can fail is told as it would be by Fly."""

from collections.abc import Callable

import pytest

from localstack.fly.faults import (
    CrashOnBoot,
    ExitCode,
    FaultClient,
    Hang,
    Kill,
    MachineFault,
    MemoryLimit,
    OutOfMemory,
    SlowBoot,
    Vanish,
)
from mailtide.adapters.fly import FlyClient, FlyMachineHost
from mailtide.errors import NotFoundError
from tests.integration.fly.conftest import wanted
from tests.integration.fly.processes import eventually

ENDINGS: list[tuple[str, MachineFault, int, bool]] = [
    ("echo", CrashOnBoot(exit_code=9), 9, False),
    ("echo", ExitCode(exit_code=4), 4, False),
    ("sleeper", ExitCode(exit_code=5, after_s=0.1), 5, False),
    ("sleeper", OutOfMemory(after_s=0.1), 137, True),
    ("sleeper", Kill(after_s=0.1), 137, False),
]


@pytest.mark.parametrize(("image", "fault", "exit_code", "oom_killed"), ENDINGS)
def test_a_machine_that_ends_badly_is_destroyed_and_says_why(
    image: str,
    fault: MachineFault,
    exit_code: int,
    oom_killed: bool,
    host: FlyMachineHost,
    client: FlyClient,
    faults: FaultClient,
) -> None:
    faults.plant(fault)
    created = host.create(wanted(image))
    assert client.wait(created.id, "destroyed", timeout_s=30) is not None
    ended = host.get(created.id)
    assert (ended.exit_code, ended.oom_killed, ended.gone) == (exit_code, oom_killed, True)
    assert _struck(faults, created.id) == [fault.kind]


def _struck(faults: FaultClient, machine_id: str) -> list[str]:
    return next(row["struck"] for row in faults.machines() if row["id"] == machine_id)


def test_a_fault_that_comes_too_late_has_not_struck(
    host: FlyMachineHost, client: FlyClient, faults: FaultClient
) -> None:
    faults.plant(Kill(after_s=60))
    created = host.create(wanted("echo"))
    client.wait(created.id, "destroyed", timeout_s=30)
    assert _struck(faults, created.id) == []


def test_a_crash_on_boot_never_reaches_the_entry_point_nor_started(
    host: FlyMachineHost, client: FlyClient, faults: FaultClient, log_of: Callable[[str], str]
) -> None:
    faults.plant(CrashOnBoot())
    created = host.create(wanted("echo"))
    client.wait(created.id, "destroyed", timeout_s=30)
    assert host.get(created.id).started_at is None
    assert "hello" not in log_of(created.id)


def test_an_exit_code_may_follow_finished_work(
    host: FlyMachineHost, client: FlyClient, faults: FaultClient, log_of: Callable[[str], str]
) -> None:
    faults.plant(ExitCode(exit_code=4))
    created = host.create(wanted("echo"))
    client.wait(created.id, "destroyed", timeout_s=30)
    assert log_of(created.id) == "hello\n"


@pytest.mark.parametrize("fault", [Hang(), Hang(after_s=0.05)])
def test_a_hanging_machine_looks_alive_until_it_is_destroyed(
    fault: Hang, host: FlyMachineHost, client: FlyClient, faults: FaultClient
) -> None:
    faults.plant(fault)
    created = host.create(wanted("sleeper" if fault.after_s else "echo"))
    assert client.wait(created.id, "destroyed", timeout_s=0.5) is None
    assert host.get(created.id).running
    host.destroy(created.id)
    assert host.get(created.id).gone


def test_a_vanished_machine_leaves_no_trace(host: FlyMachineHost, client: FlyClient, faults: FaultClient) -> None:
    faults.plant(Vanish())
    created = host.create(wanted())
    assert eventually(lambda: client.machines(include_deleted=True) == [])
    with pytest.raises(NotFoundError):
        host.get(created.id)
    assert [row["pid"] for row in faults.machines() if row["id"] == created.id] == [None]
    assert host.create(wanted()).id != created.id


def test_a_slow_boot_stays_starting(host: FlyMachineHost, client: FlyClient, faults: FaultClient) -> None:
    faults.plant(SlowBoot(delay_s=2.0))
    created = host.create(wanted())
    assert host.get(created.id).state == "starting"
    assert client.wait(created.id, "started", timeout_s=30) is not None
    booted = host.get(created.id)
    assert booted.started_at is not None
    assert booted.created_at is not None
    assert (booted.started_at - booted.created_at).total_seconds() >= 1.9


def test_a_machine_can_be_destroyed_while_it_boots(
    host: FlyMachineHost, client: FlyClient, faults: FaultClient
) -> None:
    faults.plant(SlowBoot(delay_s=30))
    created = host.create(wanted())
    assert host.get(created.id).state == "starting"
    host.destroy(created.id)
    assert host.get(created.id).gone
    assert all(event.status != "started" for event in client.events(created.id))


def test_the_memory_limit_is_real(host: FlyMachineHost, client: FlyClient, faults: FaultClient) -> None:
    small = wanted("hungry").sizes[0].model_copy(update={"memory_mb": 256})
    faults.plant(MemoryLimit())
    created = host.create(wanted("hungry", sizes=(small,)))
    client.wait(created.id, "destroyed", timeout_s=30)
    assert host.get(created.id).exit_code not in (0, None)


def test_a_fault_strikes_only_the_machines_it_names_and_only_so_often(
    host: FlyMachineHost, client: FlyClient, faults: FaultClient
) -> None:
    faults.plant(ExitCode(exit_code=4, machine_name="task-2*"))
    faults.plant(ExitCode(exit_code=6, metadata={"task": "task-3"}))
    codes = []
    for name in ("task-1", "task-2", "task-2b", "task-3"):
        created = host.create(wanted("echo", name=name))
        client.wait(created.id, "destroyed", timeout_s=30)
        codes.append(host.get(created.id).exit_code)
    assert codes == [0, 4, 0, 6]
