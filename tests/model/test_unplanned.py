"""Two calls plan one run, and the database is replaced between them: one draws up the plan, the other finds it too late."""

import pytest

from mailtide.contracts import PlanMessage
from mailtide.runs import keys
from tests.model.simulation.drive import ORG, settle, upload
from tests.model.simulation.invariants import Monitor, check_end, check_quiet
from tests.model.simulation.steps import Fault
from tests.model.simulation.world import Worker, World


def planner_before_its_plan(world: World) -> Worker:
    """A call of plan_run that has read everything and is about to create plan.json."""
    upload(world, 1)
    worker = world.receive(world.ready[0])
    while worker.actor.next is not None and not (worker.actor.next.writes and "plan.json" in worker.actor.next.key):
        world.step(worker)
    assert not worker.actor.finished
    return worker


def latecomer(world: World) -> Worker:
    """Another call for the same run, after another upload."""
    marker = next(iter(world.bucket.list(keys.OPEN))).key
    upload(world, 2)
    world.queues.send(PlanMessage(org=ORG, run=marker.rpartition("/")[2]))
    return world.receive(next(found for found in world.ready if getattr(found.message, "run", None)))


def calls_of_the_latecomer() -> int:
    world = World()
    planner_before_its_plan(world)
    worker, calls = latecomer(world), 0
    while not worker.actor.finished:
        world.step(worker)
        calls += 1
    return calls


def go_on(world: World, worker: Worker) -> None:
    if not worker.actor.finished:
        world.run(worker)


@pytest.mark.parametrize("fault", [Fault.NONE, Fault.CRASH_BEFORE, Fault.CRASH_AFTER])
def test_whoever_creates_the_plan_decides(fault: Fault) -> None:
    """The latecomer stands still before each of its calls, or fails there, while the planner goes on."""
    calls = calls_of_the_latecomer()
    assert calls > 8
    launched = set()
    for stands_at in range(calls):
        world = World()
        monitor = Monitor(world)
        planner = planner_before_its_plan(world)
        world.clock.advance(1)
        late = latecomer(world)
        for _ in range(stands_at):
            world.step(late)
        if fault is not Fault.NONE:
            world.step(late, fault)
        go_on(world, planner)
        go_on(world, late)
        monitor.raise_if_failed()
        settle(world, monitor)
        check_end(world, monitor)
        check_quiet(world)
        launched.add(len(world.machines.machines))
    assert len(launched) > 1, "both of them win somewhere"
