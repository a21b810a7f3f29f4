"""How runs end in the cases that once went wrong, told one by one on the real use cases."""

import pytest

from mailtide.contracts import Done, Failure, FinishMessage, Latest, PlanMessage, Result, SourceRef, WatchMessage
from mailtide.runs import keys, store
from mailtide.runs.naming import run_id
from mailtide.runs.watch import PLANNING_PATIENCE
from mailtide.settings import Settings
from tests.model.simulation.databases import computed_from, database
from tests.model.simulation.drive import ORG, Drive, upload
from tests.model.simulation.intruders import to_rest
from tests.model.simulation.invariants import Monitor, at_rest, check_end, check_quiet
from tests.model.simulation.machine import Behaviour
from tests.model.simulation.world import IN_CHUNKS, SETTINGS, World
from tests.support.memory_bucket import md5

SOURCE = keys.source(ORG)


def ended(world: World) -> list[Done]:
    """Every done.json, in the order of their writing."""
    written = [change.after for change in world.history if change.key.endswith("/done.json")]
    return [Done.model_validate_json(version.body) for version in written if version is not None]


def rest(world: World) -> None:
    monitor = Monitor(world)
    to_rest(world, rounds=45)
    assert at_rest(world) is None
    check_end(world, monitor)


@pytest.mark.parametrize("behaviour", [Behaviour.GARBAGE_ERROR, Behaviour.GARBAGE_MANIFEST, Behaviour.GARBAGE_BOTH])
def test_garbage_costs_a_try_and_not_the_run(behaviour: Behaviour) -> None:
    world = World()
    world.behaviour = lambda machine: behaviour if machine.request.metadata["try"] == "1" else Behaviour.WORKS
    upload(world, 1)
    rest(world)
    assert [(done.status, done.tries) for done in ended(world)] == [("published", 2)]


WRONG = {
    Behaviour.NOISE: "its database cannot be used: the file is not an SQLite database (or it is encrypted)",
    Behaviour.NO_SCHEDULE: "its database lacks the tables or the indexes of a schedule",
    Behaviour.ANOTHER_DAY: "its database holds no record of the run",
}


@pytest.mark.parametrize("settings", [SETTINGS, IN_CHUNKS])
@pytest.mark.parametrize("behaviour", WRONG)
def test_a_database_whose_manifest_fits_and_that_is_no_result_costs_a_try(
    behaviour: Behaviour, settings: Settings
) -> None:
    once = World(
        settings, behaviour=lambda machine: behaviour if machine.request.metadata["try"] == "1" else Behaviour.WORKS
    )
    upload(once, 1)
    rest(once)
    assert [(done.status, done.tries) for done in ended(once)] == [("published", 2)]
    always = World(settings, behaviour=lambda _: behaviour)
    upload(always, 1)
    rest(always)
    reason = f"The machine delivered something unusable: {WRONG[behaviour]}. (3 tries)"
    assert [(done.status, done.reason) for done in ended(always)] == [("failed", reason)]
    assert always.bucket.objects[SOURCE].body == database(1)


@pytest.mark.parametrize("behaviour", [Behaviour.EMPTY_DATABASE, Behaviour.WRONG_ETAG])
def test_a_machine_that_never_delivers_a_database_fails_the_run(behaviour: Behaviour) -> None:
    world = World(behaviour=lambda _: behaviour)
    upload(world, 1)
    rest(world)
    assert [(done.status, done.tries) for done in ended(world)] == [("failed", 3)]
    assert world.bucket.objects[SOURCE].body == database(1)


@pytest.mark.parametrize("gone", [False, True])
def test_a_delivery_that_is_lost_before_it_is_published_fails_the_run(gone: bool) -> None:
    world = World()
    drive_until(world, "stage_copy", "contacts.db")
    delivered = next(key for key in world.bucket.objects if key.endswith("/tasks/whole/1/contacts.db"))
    if gone:
        world.bucket.delete(delivered)
    else:
        world.bucket.put(delivered, b"no longer what it was")
    world.run(world.workers[0])
    rest(world)
    assert [(done.status, done.published_etag) for done in ended(world)] == [("failed", None)]
    assert world.bucket.objects[SOURCE].body == database(1)
    check_quiet(world)


def test_a_superseded_run_names_the_run_that_handles_the_new_database() -> None:
    """The upload is not lost, nor anything of it: its own run computes from it alone."""
    world = World()
    upload(world, 1)
    drive = Drive(world, {})
    while not any(key.endswith("/manifest.json") for key in world.bucket.objects):
        drive.one()
    upload(world, 2)
    rest(world)
    first, second = ended(world)
    assert (first.status, second.status) == ("superseded", "published")
    assert first.reason == (
        f"The database was replaced while this run was at work; run {second.run} handles the new one."
    )
    assert computed_from(world.bucket.objects[SOURCE].body) == md5(database(2))


def test_a_run_whose_database_is_removed_says_so() -> None:
    world = World()
    upload(world, 1)
    drive = Drive(world, {})
    while not any(key.endswith("/manifest.json") for key in world.bucket.objects):
        drive.one()
    world.bucket.delete(SOURCE)
    to_rest(world, rounds=45)
    assert [done.reason for done in ended(world)] == ["The database was removed while this run was at work."]


def test_a_restored_version_gets_a_run_of_its_own() -> None:
    world = World()
    upload(world, 1)
    first = world.bucket.objects[SOURCE]
    world.bucket.delete(SOURCE)
    run = run_id(ORG, SourceRef(etag=first.etag, last_modified=first.last_modified, size_bytes=len(first.body)))
    superseded = Done(org=ORG, run=run, status="superseded", finished_at=world.clock.now())
    store.create_once(world.bucket, keys.done(ORG, run), superseded)
    world.bucket.restore(SOURCE, first)
    to_rest(world)
    assert at_rest(world) is None
    assert [done.status for done in ended(world)] == ["superseded", "published"]


def test_a_part_that_stands_is_not_timed_out() -> None:
    """The call that named the part died before result.json; the next try's document stands, its machine was never made."""
    world = World(loses_event=lambda key: "runs/" in key)
    drive_until(world, "create", "/result.json")
    world.everybody_stops()
    world.queues.waiting.clear()
    world.clock.advance(world.settings.run_timeout_s + 1)
    to_rest(world)
    assert [done.status for done in ended(world)] == ["published"]


def drive_until(world: World, what: str, key: str) -> None:
    """Everything in order up to just before this port call."""
    drive = Drive(world, {})
    upload(world, 1)
    for _ in range(10_000):
        worker = world.workers[0] if world.workers else None
        call = worker.actor.next if worker else None
        if call is not None and call.what == what and call.key.endswith(key):
            return
        drive.one()
    raise AssertionError("it never came to that call")


def test_a_run_that_nobody_can_plan_ends() -> None:
    world = World(loses_event=lambda _: True)
    upload(world, 1)
    world.carry_out_now(PlanMessage(org=ORG))
    run = world.queues.waiting[0].message.model_dump()["run"]
    plan = keys.plan(ORG, run)
    world.queues.waiting.clear()
    world.bucket.delete(plan)
    limit_s = PLANNING_PATIENCE * world.settings.run_timeout_s
    world.clock.advance(limit_s + 1)
    world.carry_out_now(WatchMessage())
    to_rest(world)
    assert [done.status for done in ended(world)] == ["failed"]
    assert f"{limit_s} seconds" in (ended(world)[0].reason or "")
    check_quiet(world)


def test_one_broken_organisation_stops_no_other() -> None:
    world = World(loses_event=lambda _: True)
    world.bucket.put(keys.latest("aaa"), b"not what it should be")
    world.bucket.put(keys.source("aaa"), database(7))
    world.bucket.put(keys.marker("aaa", "0" * 20), b"{")
    upload(world, 1)
    for _ in range(6):
        world.watch_round()
    assert [(done.org, done.status) for done in ended(world)] == [(ORG, "published")]
    assert world.machines.living == []
    assert any("ExceptionGroup" in line for line in world.log), "and yet somebody is told"


def test_a_demand_that_arrives_twice_is_one_run() -> None:
    world = World()
    upload(world, 1)
    rest(world)
    world.clock.advance(40 * 3600)
    for _ in range(3):
        world.queues.send(PlanMessage(org=ORG, trigger="demand", request_id="once"))
        rest(world)
    assert [done.status for done in ended(world)] == ["published", "published"]
    assert len(world.machines.machines) == 2


def test_the_run_that_latest_names_gets_its_ending_before_it_is_written_over() -> None:
    """The first run published and recorded it, and died before done.json; another takes the lock over and ends."""
    world = World()
    drive_until(world, "create", "/done.json")
    world.everybody_stops()
    world.queues.waiting.clear()
    world.loses_event = lambda _: True
    world.clock.advance(world.settings.lock_ttl_s + 1)
    world.behaviour = lambda _: Behaviour.BAD_INPUT
    world.carry_out_now(PlanMessage(org=ORG, trigger="demand", request_id="later"))
    second = next(iter(world.queues.waiting)).message.model_dump()["run"]
    world.queues.waiting.clear()
    failure = Failure(kind="bad_input", message="No.")
    result = Result(failure=failure, decided_at=world.clock.now())
    store.create_once(world.bucket, keys.result(ORG, second), result)
    world.carry_out_now(FinishMessage(org=ORG, run=second))
    assert [(done.status, done.changed) for done in ended(world)] == [("published", True), ("failed", False)]
    rest(world)


def test_a_version_of_the_same_second_is_told_apart_by_its_content() -> None:
    world = World()
    upload(world, 1)
    upload(world, 2)
    rest(world)
    assert ended(world)[-1].status == "published"
    latest = store.read(world.bucket, keys.latest(ORG), Latest)
    assert latest is not None
    assert latest.published_etag == world.bucket.objects[SOURCE].etag


def test_the_watcher_leaves_alone_what_is_where_it_should_be() -> None:
    world = World(loses_event=lambda _: True)
    upload(world, 1)
    world.clock.advance(30)
    before = dict(world.bucket.objects)
    world.carry_out_now(WatchMessage())
    assert world.bucket.objects == before
    assert world.queues.waiting == []
