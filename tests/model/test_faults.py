"""The real use cases, one upload, and every fault at every port call; then every pair of faults at its writes.

Of the pairs every third is taken, with the two kinds of faults that imply most others; a thorough run takes all.
"""

from itertools import combinations, islice, product

import pytest

from tests.model.simulation.drive import drive_one_upload
from tests.model.simulation.steps import WRITE_FAULTS, Call, Fault
from tests.model.simulation.world import World
from tests.model.thorough import THOROUGH

EVENTS = {"with events": False, "by the watcher alone": True}


def world(*, lost: bool) -> World:
    return World(loses_event=lambda _: lost)


@pytest.fixture(scope="module")
def straight() -> list[Call]:
    """The port calls of a run to which nothing happens."""
    return drive_one_upload(world(lost=False), {})


@pytest.mark.parametrize("events", EVENTS)
def test_a_straight_run_publishes_once(events: str) -> None:
    ours = world(lost=EVENTS[events])
    drive_one_upload(ours, {})
    assert [written.by for written in ours.history if written.key == "orgs/acme/contacts.db"] == [
        "put",
        "complete_copy",
    ]
    assert [event.status for event in ours.announcer.events] == ["published"]
    assert len(ours.machines.machines) == 1


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE], ids=lambda fault: fault.value)
@pytest.mark.parametrize("events", EVENTS)
def test_every_single_fault(events: str, fault: Fault) -> None:
    """One fault never costs the publication: the run ends published, exactly once."""
    lost = EVENTS[events]
    calls = drive_one_upload(world(lost=lost), {})
    places = [number for number, call in enumerate(calls) if fault in call.faults]
    assert places
    for number in places:
        ours = world(lost=lost)
        drive_one_upload(ours, {number: fault})
        published = [written for written in ours.history if written.by == "complete_copy"]
        assert len(published) == 1, f"{fault.value} at call {number}, {calls[number]}"


def test_every_pair_of_faults_at_the_writes(straight: list[Call]) -> None:
    kinds = WRITE_FAULTS if THOROUGH else (Fault.CRASH_BEFORE, Fault.LOST)
    writes = [number for number, call in enumerate(straight) if call.writes]
    assert len(writes) > 15
    pairs = product(combinations(writes, 2), kinds, kinds)
    for (one, other), first, second in islice(pairs, 0, None, 1 if THOROUGH else 3):
        drive_one_upload(world(lost=False), {one: first, other: second})
