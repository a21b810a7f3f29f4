"""A person cancels a run at every moment of its life, on the real use cases: it ends unpublished, or the person is told that it
was too late; nothing is left behind."""

import pytest

from mailtide.contracts import Done, PlanMessage
from mailtide.errors import InputError
from mailtide.runs import keys, store
from mailtide.runs.cancel import cancel
from mailtide.settings import Settings
from tests.model.simulation.databases import database
from tests.model.simulation.drive import ORG, Drive, upload
from tests.model.simulation.intruders import cancel_open, to_rest
from tests.model.simulation.invariants import check_end, check_quiet
from tests.model.simulation.world import IN_CHUNKS, SETTINGS, World
from tests.model.thorough import THOROUGH
from tests.support.memory_bucket import MemoryBucket

SOURCE = keys.source(ORG)


def open_runs(world: World) -> list[str]:
    return [info.key.split("/")[2] for info in world.bucket.list(keys.OPEN)]


def cancel_it(world: World, run: str, by: str = "ana", reason: str | None = "Wrong file.") -> None:
    cancel(world.bucket, world.queues, ORG, run, by=by, reason=reason, now=world.clock.now())


def done_of(bucket: MemoryBucket, run: str) -> Done:
    done = store.read_done(bucket, ORG, run)
    assert done is not None
    return done


def advance_to(drive: Drive, number: int) -> str | None:
    """Everything in order up to just before this port call; what it is, None when the run is over before."""
    world = drive.world
    while len(drive.calls) < number or not (world.workers and world.workers[0].actor.next):
        if world.bucket.objects.get(SOURCE) is not None and not drive.one():
            return None
    call = world.workers[0].actor.next
    assert call is not None
    return f"{call.what} {call.key}"


@pytest.mark.parametrize("told", [True, False], ids=["finish_run is told", "only the watcher finds out"])
@pytest.mark.parametrize(
    ("settings", "stride"), [(SETTINGS, 1), (IN_CHUNKS, 1 if THOROUGH else 5)], ids=["one machine", "in chunks"]
)
def test_at_every_moment(settings: Settings, stride: int, told: bool) -> None:
    cancelled, refused, number = 0, 0, 0
    stride *= 1 if told or THOROUGH else 2
    while True:
        world = World(settings=settings)
        drive = Drive(world, {})
        upload(world, 1)
        call = advance_to(drive, number)
        if call is None:
            break
        markers = [info.key for info in world.bucket.list(keys.OPEN)]
        accepted = bool(markers) and cancel_open(world, markers[0])
        if accepted and not told:
            world.queues.waiting.pop()
        drive.run()
        check_end(world, drive.monitor)
        check_quiet(world)
        (done,) = [
            done_of(world.bucket, key.split("/")[2]) for key in world.bucket.objects if key.endswith("/done.json")
        ]
        # Only a collector that has looked and stands before its write comes first.
        in_flight = call.startswith("create ") and call.endswith("/result.json")
        wanted = "failed" if accepted and not in_flight else "published"
        assert done.status == wanted, f"cancelled before call {number}: {call}"
        if wanted == "failed":
            assert done.cancelled is not None
            assert done.reason == "Cancelled by ana: Wrong file."
            assert world.bucket.objects[SOURCE].body == database(1)
        cancelled, refused, number = cancelled + accepted, refused + (bool(markers) and not accepted), number + stride
    assert min(cancelled, refused) >= 3


def test_a_run_that_waits_for_another_is_cancelled_alone() -> None:
    """It has no plan and no lock; it gets a plan that launches nothing, and ends when the other has."""
    world = World()
    upload(world, 1)
    world.carry_out_now(world.queues.waiting.pop(0).message)
    (first,) = open_runs(world)
    world.carry_out_now(PlanMessage(org=ORG, trigger="demand", request_id="second"))
    world.bucket.put(keys.marker(ORG, second := "f" * 20), _marker_of(world, first, second))
    cancel_it(world, second, reason=None)
    drive = Drive(world, {})
    drive.run()
    assert done_of(world.bucket, first).status == "published"
    ended = done_of(world.bucket, second)
    assert (ended.status, ended.reason, ended.machines) == ("failed", "Cancelled by ana.", ())
    assert {machine.request.metadata["run"] for machine in world.machines.machines.values()} == {first}


def _marker_of(world: World, run: str, other: str) -> bytes:
    marker = store.read_marker(world.bucket, ORG, run)
    assert marker is not None
    return marker.model_copy(update={"run": other, "trigger": "demand"}).to_bytes()


def test_the_first_word_counts_and_says_who() -> None:
    world = World()
    upload(world, 1)
    drive = Drive(world, {})
    while not world.machines.machines:
        drive.one()
    (run,) = open_runs(world)
    cancel_it(world, run)
    cancel_it(world, run, by="ben", reason="Another reason")
    to_rest(world)
    done = done_of(world.bucket, run)
    assert done.cancelled is not None
    assert (done.cancelled.by, done.cancelled.reason) == ("ana", "Wrong file.")
    assert world.machines.living == []
    with pytest.raises(InputError, match="cannot be cancelled: it has ended as failed"):
        cancel_it(world, run)
    with pytest.raises(InputError, match=r"has no run 0{20} under way"):
        cancel_it(world, "0" * 20)
    retry = PlanMessage(org=ORG, trigger="demand", request_id=f"retry-{run}")
    world.queues.send(retry)
    Drive(world, {}).run()
    assert store.read_latest(world.bucket, ORG).value.status == "published"
