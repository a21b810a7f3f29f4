"""Functions whose clocks are five minutes wrong, either way, against the time-outs as they are deployed."""

from collections.abc import Mapping
from itertools import product
from random import Random

import pytest

from mailtide.contracts import Done
from tests.model.simulation.drive import Drive, drive_one_upload, settle, upload
from tests.model.simulation.invariants import check_end
from tests.model.simulation.steps import Fault
from tests.model.simulation.world import SETTINGS, World

WRONG_S = 300.0
KINDS = ("plan", "launch", "collect", "finish", "watch")
AS_DEPLOYED = SETTINGS.model_copy(update={"lock_ttl_s": 600, "task_timeout_s": 600, "run_timeout_s": 3_600})
ALL = [dict(zip(KINDS, found, strict=True)) for found in product((-WRONG_S, 0.0, WRONG_S), repeat=len(KINDS))]
SOME = Random(5).sample(ALL, 30)


def _world(clocks: Mapping[str, float], *, lost: bool = False) -> World:
    return World(settings=AS_DEPLOYED, wrong_by_s=lambda kind: clocks.get(kind, 0.0), loses_event=lambda _: lost)


def _ended(world: World) -> Done:
    (body,) = (version.body for key, version in world.bucket.objects.items() if key.endswith("/done.json"))
    return Done.model_validate_json(body)


@pytest.mark.parametrize("lost", [False, True], ids=["with events", "by the watcher alone"])
def test_wrong_clocks_cost_no_try(lost: bool) -> None:
    for clocks in SOME:
        world = _world(clocks, lost=lost)
        drive_one_upload(world, {})
        done = _ended(world)
        assert (done.status, done.tries) == ("published", 1), clocks


@pytest.mark.parametrize("fault", [Fault.CRASH_AFTER, Fault.LATE], ids=lambda fault: fault.value)
def test_wrong_clocks_and_a_fault_at_some_call(fault: Fault) -> None:
    calls = len(drive_one_upload(_world({}), {}))
    for number, clocks in enumerate(SOME):
        world = _world(clocks)
        drive_one_upload(world, {(number * 7) % calls: fault})
        assert _ended(world).status == "published", clocks


def test_an_upload_during_a_run_under_wrong_clocks() -> None:
    for number, clocks in enumerate(SOME):
        world = _world(clocks)
        drive = Drive(world, {})
        upload(world, 1)
        for _ in range(10 + 3 * number):
            drive.one()
        upload(world, 2)
        drive.run()
        settle(world, drive.monitor)
        check_end(world, drive.monitor)
