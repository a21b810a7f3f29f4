"""The publish brake on the real use cases: what is held, what a person's word does, and every single fault on the way."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from mailtide.contracts import Done, PlanMessage
from mailtide.errors import InputError
from mailtide.runs import keys, store
from mailtide.runs.verdicts import approve, ended, reject
from tests.model.simulation.databases import database
from tests.model.simulation.drive import ORG, Drive, upload
from tests.model.simulation.invariants import check_end, check_quiet
from tests.model.simulation.steps import Call, Fault
from tests.model.simulation.world import World

SOURCE = keys.source(ORG)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def report(contacts: int, planned: int, **changes: int) -> dict[str, object]:
    """The part of a pass's report that the brake reads."""
    none = {"inserted": planned, "updated": 0, "deleted": 0, "unchanged": 0}
    return {"contacts": contacts, "rows": {"birthday": {"pre-scheduled": planned, "skipped": 0}}, **none, **changes}


USUAL = report(1_000, 3_000)


def after_one_publication(then: dict[str, object]) -> World:
    """A world whose first upload was published, and whose next pass reports `then`."""
    told = {database(1): USUAL}
    world = World(report=lambda source: told.get(source, then))
    upload(world, 1)
    Drive(world, {}).run()
    return world


def go_on(world: World, faults: Mapping[int, Fault]) -> list[Call]:
    drive = Drive(world, faults)
    upload(world, 2)
    calls = drive.run()
    check_end(world, drive.monitor)
    return calls


def newest(world: World) -> Done:
    return ended(world.bucket, ORG)[0]


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (report(600, 2_900), "it finds 600 contacts where the last published run found 1,000"),
        (report(1_000, 1_900), "it plans 1,900 mails where the last published run planned 3,000"),
        (report(1_000, 4_000), "it plans 4,000 mails where the last published run planned 3,000"),
        (
            report(1_000, 3_000, inserted=500, updated=300, deleted=200, unchanged=2_500),
            "it would add 500, change 300 and delete 200 planned mails where 3,000 stand",
        ),
    ],
)
def test_what_is_held(then: dict[str, object], reason: str) -> None:
    world = after_one_publication(then)
    go_on(world, {})
    done = newest(world)
    assert (done.status, done.published_etag, done.report) == ("held", None, then)
    assert done.reason == f"The run is held, because {reason}; approve or reject it."
    assert world.bucket.objects[SOURCE].body == database(2)
    assert world.announcer.events[-1].status == "held"
    check_quiet(world)


@pytest.mark.parametrize(
    "then",
    [
        report(750, 2_200),
        report(1_000, 3_000, inserted=300, updated=300, deleted=300, unchanged=2_400),
        report(960, 2_990, inserted=20, updated=20, deleted=10, unchanged=0),
        {},
    ],
    ids=["less than the share", "a quarter of the rows", "too few to matter", "a report that says nothing"],
)
def test_what_goes_through(then: dict[str, object]) -> None:
    world = after_one_publication(then)
    go_on(world, {})
    assert newest(world).status == "published"


def test_other_rules_may_change_everything() -> None:
    world = after_one_publication(report(1_000, 100))
    world.bucket.put(keys.rules(ORG), b"birthday_days_before: 3\n")
    go_on(world, {})
    assert newest(world).status == "published"


def test_an_approved_run_is_made_again_and_published() -> None:
    world = after_one_publication(report(1_000, 1_900))
    go_on(world, {})
    held = newest(world)
    approve(world.bucket, world.queues, ORG, held.run, now=NOW)
    approve(world.bucket, world.queues, ORG, held.run, now=NOW)
    drive = Drive(world, {})
    drive.run()
    check_end(world, drive.monitor)
    published = newest(world)
    assert (published.status, published.as_of) == ("published", held.as_of)
    assert [done.status for done in ended(world.bucket, ORG)] == ["published", "held", "published"]
    baseline = store.read_latest(world.bucket, ORG).value.baseline
    assert baseline is not None
    assert baseline.rows == 1_900
    with pytest.raises(InputError, match="was replaced after"):
        approve(world.bucket, world.queues, ORG, held.run, now=NOW)
    with pytest.raises(InputError, match="was approved at 2026-11-21 12:00 UTC"):
        reject(world.bucket, ORG, held.run, now=NOW)


def test_an_approval_is_for_one_day_and_one_database() -> None:
    """A demand that names somebody's approval, but is for another day, is held like any other."""
    world = after_one_publication(report(1_000, 1_900))
    go_on(world, {})
    held = newest(world)
    approve(world.bucket, world.queues, ORG, held.run, now=NOW)
    world.queues.waiting.clear()
    assert held.as_of is not None
    later = held.as_of.replace(year=held.as_of.year + 1)
    world.queues.send(PlanMessage(org=ORG, trigger="demand", request_id="x", as_of=later, approved=held.run))
    Drive(world, {}).run()
    assert [done.status for done in ended(world.bucket, ORG)] == ["held", "held", "published"]


def test_a_rejected_run_stays_unpublished() -> None:
    world = after_one_publication(report(1_000, 1_900))
    go_on(world, {})
    run = newest(world).run
    reject(world.bucket, ORG, run, now=NOW)
    with pytest.raises(InputError, match="was rejected at"):
        approve(world.bucket, world.queues, ORG, run, now=NOW)
    Drive(world, {}).run()
    assert world.bucket.objects[SOURCE].body == database(2)
    published = next(done for done in ended(world.bucket, ORG) if done.status == "published")
    with pytest.raises(InputError, match="is not held; it ended as published"):
        approve(world.bucket, world.queues, ORG, published.run, now=NOW)
    with pytest.raises(InputError, match="has no ended run"):
        reject(world.bucket, ORG, "0" * 20, now=NOW)


def test_a_held_run_whose_database_is_replaced_makes_way() -> None:
    """The next upload has a run of its own, measured against what was last published."""
    world = after_one_publication(report(1_000, 1_900))
    go_on(world, {})
    world.report = lambda _: report(990, 2_950)
    upload(world, 3)
    Drive(world, {}).run()
    assert [done.status for done in ended(world.bucket, ORG)] == ["published", "held", "published"]


@pytest.mark.parametrize("fault", [Fault.CRASH_BEFORE, Fault.LOST], ids=lambda fault: fault.value)
def test_every_single_fault_ends_held(fault: Fault) -> None:
    calls = go_on(after_one_publication(report(1_000, 1_900)), {})
    places = [number for number, call in enumerate(calls) if fault in call.faults]
    assert len(places) > 10
    for number in places:
        world = after_one_publication(report(1_000, 1_900))
        go_on(world, {number: fault})
        statuses = [done.status for done in ended(world.bucket, ORG)]
        assert statuses == ["held", "published"], f"{fault.value} at call {number}, {calls[number]}"
        assert world.bucket.objects[SOURCE].body == database(2)
