"""The real use cases with machines that are kept: faults at every port call, random walks, and what must hold beside."""

from collections import Counter

import pytest

from mailtide.runs.launch import TASK_URL_VARIABLE
from mailtide.runs.pool.fill import deploy
from mailtide.runs.pool.kept import HOLDS, is_kept
from mailtide.settings import SIZE_TABLE
from tests.model.simulation.drive import drive_one_upload
from tests.model.simulation.steps import Direct, Fault
from tests.model.simulation.walk import Walk
from tests.model.simulation.world import IN_CHUNKS, SETTINGS, World
from tests.model.thorough import THOROUGH

POOL = {"pool_size": 2, "pool_machine_size": SIZE_TABLE[0].size}
POOLED = SETTINGS.model_copy(update=POOL)
POOLED_CHUNKS = IN_CHUNKS.model_copy(update=POOL | {"chunk_size": SIZE_TABLE[0].size, "merge_size": SIZE_TABLE[0].size})


def pooled(*, lost: bool = False) -> World:
    """Two machines stand ready."""
    world = World(settings=POOLED, loses_event=lambda _: lost)
    assert len(deploy(world.services(Direct(), "deploy")).made) == 2
    return world


def check_kept(world: World) -> None:
    """When all is at rest, and the watcher has looked: kept machines are stopped and empty, and none was given away twice."""
    kept = [machine for machine in world.machines.machines.values() if is_kept(machine.info()) and machine.is_stopped]
    assert len(kept) <= world.settings.pool_size
    assert not [machine for machine in kept if TASK_URL_VARIABLE in machine.request.env]
    assert not [machine for machine in kept if "run" in machine.request.metadata]
    given = Counter((machine_id, version) for machine_id, version, _ in world.machines.handed)
    assert max(given.values(), default=1) == 1


def starts(world: World) -> list[tuple[str, ...]]:
    """The tries that kept machines were given."""
    tries = (metadata for _, _, metadata in world.machines.handed if "run" in metadata)
    return [tuple(metadata[name] for name in ("org", "run", "task", "try")) for metadata in tries]


@pytest.mark.parametrize("lost", [False, True], ids=["with events", "by the watcher alone"])
def test_a_straight_run_creates_no_machine(lost: bool) -> None:
    world = pooled(lost=lost)
    drive_one_upload(world, {})
    assert len(world.machines.machines) == 2
    assert len(starts(world)) == 1
    assert [event.status for event in world.announcer.events] == ["published"]
    (used,) = (machine for machine in world.machines.machines.values() if machine.started_at)
    assert used.request.metadata[HOLDS] == "acme"
    check_kept(world)


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE], ids=lambda fault: fault.value)
def test_every_single_fault(fault: Fault) -> None:
    calls = drive_one_upload(pooled(), {})
    places = [number for number, call in enumerate(calls) if fault in call.faults]
    for number in places[:: 1 if THOROUGH else 3]:
        world = pooled()
        drive_one_upload(world, {number: fault})
        published = [written for written in world.history if written.by == "complete_copy"]
        assert len(published) == 1, f"{fault.value} at call {number}, {calls[number]}"
        check_kept(world)
        assert len(starts(world)) == len(set(starts(world)))


def test_a_hand_over_that_breaks_off_is_taken_up_again() -> None:
    world = pooled()
    world.machines.lost_starts = 2
    drive_one_upload(world, {})
    assert len(starts(world)) == 1
    assert len(world.machines.machines) == 2
    check_kept(world)


@pytest.mark.parametrize("why", ["full", "closed"])
def test_a_pool_that_cannot_be_used_leads_to_a_new_machine(why: str) -> None:
    world = pooled()
    world.machines.full = set(world.machines.machines) if why == "full" else set()
    world.machines.closed = why == "closed"
    drive_one_upload(world, {})
    assert [machine.request.auto_destroy for machine in world.machines.machines.values()] == [False, False, True]
    assert [event.status for event in world.announcer.events] == ["published"]
    check_kept(world)


@pytest.mark.parametrize("seed", range(200 if THOROUGH else 12))
def test_walks_with_a_pool(seed: int) -> None:
    walk = Walk(70_000 + seed)
    walk.world.settings = (POOLED, POOLED, POOLED_CHUNKS)[seed % 3]
    if seed % 2:
        deploy(walk.world.services(Direct(), "deploy"))
    walk.run()
    check_kept(walk.world)
