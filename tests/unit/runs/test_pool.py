"""What the watcher, a launch and a person do with machines that are kept."""

import pytest

from mailtide.contracts import PoolChoice
from mailtide.errors import InputError
from mailtide.machines import MachineInfo, MachineRequest, MachineSize
from mailtide.runs import keys, store
from mailtide.runs.launch import TASK_URL_VARIABLE
from mailtide.runs.pool.fill import deploy
from mailtide.runs.pool.kept import HOLDS, LAST, ROLE, is_of, kept_machines, name_of
from mailtide.runs.pool.report import report_pool
from mailtide.runs.pool.take import take_kept
from mailtide.runs.pool.visit import find_running, start_visit, stop_visits
from mailtide.runs.services import Services
from mailtide.runs.watch_orgs import sweep_machines
from mailtide.settings import Settings
from tests.support.memory_machines import MemoryMachine
from tests.support.memory_services import MemoryServices

SIZE = MachineSize(cpu_kind="shared", cpus=2, memory_mb=2_048)
SETTINGS = Settings(
    bucket="memory", pool_size=3, pool_machine_size=SIZE, pool_volume_gb=10, task_timeout_s=300, machine_image="app:1"
)
RUN = "ab" * 10


def tried(org: str = "acme", attempt: int = 1) -> keys.TryKeys:
    return keys.TryKeys(org, RUN, "whole", attempt)


def wanted(paths: keys.TryKeys, image: str = "app:1") -> MachineRequest:
    metadata = {"role": ROLE, "org": paths.org, "run": paths.run, "task": paths.task, "try": str(paths.attempt)}
    url = {TASK_URL_VARIABLE: f"https://bucket/{paths.org}?signature"}
    return MachineRequest(name=f"mailtide-{paths.org}", sizes=(SIZE,), image=image, env=url, metadata=metadata)


@pytest.fixture
def memory() -> MemoryServices:
    made = MemoryServices(SETTINGS)
    deploy(made.services)
    return made


def take(memory: MemoryServices, org: str = "acme", attempt: int = 1) -> MachineInfo | None:
    paths = tried(org, attempt)
    return take_kept(memory.services, paths, wanted(paths), holds=org)


def machine_of(memory: MemoryServices, info: MachineInfo | None) -> MemoryMachine:
    assert info is not None
    return memory.machines.machines[info.id]


def delivered(memory: MemoryServices, machine: MemoryMachine, paths: keys.TryKeys) -> None:
    memory.bucket.create(paths.manifest, b"{}")
    machine.end(exit_code=0)


def sweep(memory: MemoryServices, **changes: object) -> list[tuple[str, object]]:
    services = memory.services
    settings = memory.settings.model_copy(update=changes)
    services = Services(
        bucket=services.bucket,
        queues=services.queues,
        machines=services.machines,
        pool=services.pool,
        announcer=services.announcer,
        clock=services.clock,
        settings=settings,
    )
    return [(report.action, report.details.get("why")) for report in sweep_machines(services)]


def names(memory: MemoryServices) -> list[str]:
    return [machine.name for machine in kept_machines(memory.services)]


def test_three_tasks_get_three_machines_and_the_fourth_none(memory: MemoryServices) -> None:
    taken = [take(memory, org) for org in ("acme", "bolt", "coil", "dyne")]
    assert len({info.id for info in taken if info is not None}) == 3
    assert taken[3] is None
    assert store.read(memory.bucket, tried("dyne").pool, PoolChoice) is not None


def test_a_try_comes_to_the_same_machine_however_often_it_is_launched(memory: MemoryServices) -> None:
    first = take(memory)
    assert first is not None
    assert [take(memory), take(memory)] == [first, first]
    assert is_of(first, tried())
    # It found none free once, so it never takes one: its own machine may be on its way.
    for machine in list(memory.machines.machines.values()):
        machine.state = "started"
    assert take(memory, "bolt") is None
    for machine in list(memory.machines.machines.values()):
        machine.state = "stopped"
    assert take(memory, "bolt") is None


def test_a_machine_whose_task_was_delivered_is_free_before_the_watcher_has_looked(memory: MemoryServices) -> None:
    used = machine_of(memory, take(memory))
    used.end(exit_code=0)
    for _ in range(2):
        machine_of(memory, take(memory, f"other{_}"))
    assert take(memory, "none") is None
    memory.bucket.create(tried().manifest, b"{}")
    again = take(memory, "bolt")
    assert machine_of(memory, again) is used
    assert used.request.env == {TASK_URL_VARIABLE: "https://bucket/bolt?signature", "MAILTIDE_CACHE_DIR": "/data"}
    assert "acme" not in str(used.request.metadata)


def test_who_had_the_organisations_database_before_is_taken_first(memory: MemoryServices) -> None:
    for org in ("acme", "bolt", "coil"):
        delivered(memory, machine_of(memory, take(memory, org)), tried(org))
    assert sweep(memory) == [("emptied_machine", None)] * 3
    held = {machine.metadata[HOLDS]: machine.id for machine in kept_machines(memory.services)}
    assert set(held) == {"acme", "bolt", "coil"}
    for org in ("coil", "acme", "bolt"):
        info = take(memory, org, attempt=2)
        assert info is not None
        assert info.id == held[org]


def test_an_organisation_can_be_forgotten(memory: MemoryServices) -> None:
    for org in ("acme", "bolt"):
        delivered(memory, machine_of(memory, take(memory, org)), tried(org))
    sweep(memory)
    (held,) = (machine for machine in kept_machines(memory.services) if machine.metadata.get(HOLDS) == "acme")
    done = deploy(memory.services, forget="acme")
    assert (done.removed, done.made) == ((held.name,), (held.name,))
    assert sorted(machine.metadata.get(HOLDS, "") for machine in kept_machines(memory.services)) == ["", "", "bolt"]
    assert held.volume not in memory.machines.disks


def test_emptied_is_without_url_and_names_its_last_task(memory: MemoryServices) -> None:
    used = machine_of(memory, take(memory))
    assert sweep(memory) == []
    delivered(memory, used, tried())
    assert sweep(memory) == [("emptied_machine", None)]
    assert (used.request.env, used.state) == ({}, "stopped")
    assert used.request.metadata[LAST] == f"acme/{RUN}/whole/1"
    assert sweep(memory) == []


def test_a_stopped_machine_that_delivered_nothing_is_left_to_the_run(memory: MemoryServices) -> None:
    used = machine_of(memory, take(memory))
    used.end(exit_code=137)
    assert sweep(memory) == []
    memory.bucket.create(keys.done("acme", RUN), b"{}")
    assert sweep(memory) == [("emptied_machine", None)]


@pytest.mark.parametrize(("after_s", "why"), [(419, None), (421, "too long")])
def test_no_machine_runs_beyond_its_time(memory: MemoryServices, after_s: int, why: str | None) -> None:
    used = machine_of(memory, take(memory))
    memory.clock.advance(after_s)
    assert sweep(memory) == ([("destroyed_machine", why)] if why else [])
    assert used.alive == (why is None)
    assert (used.volume in memory.machines.disks) == (why is None)


def test_a_running_machine_whose_run_has_ended_or_that_has_no_task_goes(memory: MemoryServices) -> None:
    used = machine_of(memory, take(memory))
    memory.bucket.create(keys.done("acme", RUN), b"{}")
    other = next(machine for machine in memory.machines.machines.values() if not machine.alive)
    other.state = "started"
    assert sweep(memory) == [("destroyed_machine", "runs without a task")]
    # It may still be putting the database on its volume.
    assert used.alive
    memory.clock.advance(61)
    assert sweep(memory) == [("destroyed_machine", "run over")]
    assert not memory.machines.living


def test_what_is_too_much_old_or_broken_goes_with_its_volume(memory: MemoryServices) -> None:
    assert sweep(memory, pool_size=2) == [("destroyed_machine", "not wanted")]
    assert (names(memory), len(memory.machines.disks)) == ([name_of(1), name_of(2)], 2)
    memory.clock.advance(SETTINGS.pool_idle_s + 1)
    assert sweep(memory) == [("destroyed_machine", "unused")] * 2
    assert memory.machines.disks == {}
    deploy(memory.services)
    assert sweep(memory, pool_machine_size=SETTINGS.merge_size) == [("destroyed_machine", "not wanted")] * 3
    deploy(memory.services)
    assert sweep(memory, pool_size=0) == [("destroyed_machine", "not wanted")] * 3
    assert names(memory) == []


def test_another_image_is_put_on_when_nobody_works(memory: MemoryServices) -> None:
    used = machine_of(memory, take(memory))
    assert sweep(memory, machine_image="app:2") == [("emptied_machine", None)] * 2
    paths = tried("bolt")
    assert used.request.image == "app:1"
    assert take_kept(memory.services, paths, wanted(paths), holds="bolt") is None


def test_a_volume_without_a_machine_goes_when_it_is_no_longer_new(memory: MemoryServices) -> None:
    lost = machine_of(memory, take(memory))
    lost.forgotten = True
    assert sweep(memory) == []
    memory.clock.advance(601)
    assert ("removed_volume", None) in sweep(memory)
    assert lost.volume not in memory.machines.disks


def test_a_visit_is_borne_until_it_is_over(memory: MemoryServices) -> None:
    visited = start_visit(memory.services, minutes=10)
    assert machine_of(memory, visited).alive
    assert find_running(memory.services, None).id == visited.id
    assert start_visit(memory.services, minutes=5).id == visited.id
    memory.clock.advance(600 + 119)
    assert sweep(memory) == []
    assert [machine.id for machine in stop_visits(memory.services)] == [visited.id]
    assert stop_visits(memory.services) == []
    again = start_visit(memory.services, minutes=1)
    memory.clock.advance(60 + 121)
    assert sweep(memory) == [("destroyed_machine", "visit over")]
    assert not machine_of(memory, again).alive


def test_people_are_told_when_there_is_nothing_to_visit(memory: MemoryServices) -> None:
    for org in ("acme", "bolt", "coil"):
        take(memory, org)
    with pytest.raises(InputError, match="All 3 kept machines have a task"):
        start_visit(memory.services, minutes=1)
    with pytest.raises(InputError, match="works on run"):
        stop_visits(memory.services, name=name_of(1))
    with pytest.raises(InputError, match="no kept machine 'nine'"):
        stop_visits(memory.services, name="nine")
    with pytest.raises(InputError, match="mailtide fly deploy makes them"):
        find_running(MemoryServices(SETTINGS).services, None)


def test_the_report_counts_what_stopped_machines_cost(memory: MemoryServices) -> None:
    take(memory)
    report = report_pool(memory.services)
    assert report.usd_per_month == pytest.approx(3 * 0.15 * 10.6)
    assert sorted(row.task or "" for row in report.machines) == ["", "", f"acme/{RUN}/whole/1"]
    machine_of(memory, take(memory)).forgotten = True
    report = report_pool(memory.services)
    assert (len(report.machines), len(report.stray_volumes)) == (2, 1)
    assert report.usd_per_month == pytest.approx(2 * 0.15 * 10.6 + 0.15 * 10)
