"""A manifest that another machine wrote counts for nothing, even when it names no file that could betray it."""

from mailtide.contracts import Done
from mailtide.runs import keys
from tests.model.simulation.drive import ORG, Drive, settle, upload
from tests.model.simulation.invariants import check_end
from tests.model.simulation.machine import Behaviour
from tests.model.simulation.world import World


def _delivered(world: World, org: str) -> str:
    """The key of a try of this organisation's run, without the object's name."""
    found = [key for key in world.bucket.objects if key.startswith(f"runs/{org}/") and key.endswith("/task.json")]
    return found[0].removesuffix("task.json")


def test_that_another_run_found_nothing_to_change_says_nothing_of_this_one() -> None:
    world = World()
    drive = Drive(world, {})
    world.behaviour = lambda _: Behaviour.UNCHANGED
    upload(world, 1, "other")
    drive.run()
    foreign = world.bucket.objects[_delivered(world, "other") + "manifest.json"].body
    world.behaviour = lambda machine: Behaviour.HANGS if machine.request.metadata["try"] == "1" else Behaviour.WORKS
    upload(world, 2)
    while not any(key.startswith(f"runs/{ORG}/") and key.endswith("/claim.json") for key in world.bucket.objects):
        drive.one()
    world.bucket.put(_delivered(world, ORG) + "manifest.json", foreign)
    settle(world, drive.monitor)
    check_end(world, drive.monitor)
    (key,) = (key for key in world.bucket.objects if key.startswith(f"runs/{ORG}/") and key.endswith("/done.json"))
    done = Done.model_validate_json(world.bucket.objects[key].body)
    assert (done.status, done.changed, done.tries) == ("published", True, 2)
    assert keys.source(ORG) in world.bucket.objects
