"""Sync mode `changeset` under every fault at every port call: one published changeset, and the database never touched."""

import pytest

from mailtide.contracts import Latest
from mailtide.runs import keys, store
from tests.model.simulation.databases import computed_from
from tests.model.simulation.drive import ORG, drive_one_upload
from tests.model.simulation.steps import Call, Fault
from tests.model.simulation.world import World
from tests.support.memory_bucket import md5


def world(mode: str = "changeset", *, lost: bool = False) -> World:
    made = World(loses_event=lambda _: lost)
    made.bucket.put(keys.rules(ORG), f"sync: {mode}\n".encode())
    return made


def published(ours: World) -> Latest:
    """latest.json, when what it names is all there is."""
    latest = store.read_latest(ours.bucket, ORG).value
    assert [written.by for written in ours.history if written.key == keys.source(ORG)] == ["put"]
    assert latest.status == "published"
    assert latest.file is not None
    source = ours.bucket.objects[keys.source(ORG)].body
    assert computed_from(ours.bucket.objects[latest.file.key].body) == md5(source)
    below = {key for key in ours.bucket.objects if key.startswith((keys.published_folder(ORG), keys.CHANGES))}
    assert below == {latest.file.key, *(link.key for link in latest.chain)}
    assert [link.run for link in latest.chain] == [latest.run]
    return latest


CASES = [(fault, False) for fault in Fault if fault is not Fault.NONE] + [(Fault.CRASH_AFTER, True)]
"""A fault, and whether the watcher alone brings the run on."""


@pytest.mark.parametrize(("fault", "lost"), CASES)
def test_every_single_fault(fault: Fault, lost: bool) -> None:
    calls: list[Call] = drive_one_upload(world(lost=lost), {})
    places = [number for number, call in enumerate(calls) if fault in call.faults]
    assert any(calls[number].what == "copy" for number in places) or fault not in (Fault.LOST, Fault.LATE)
    for number in places:
        ours = world(lost=lost)
        drive_one_upload(ours, {number: fault})
        published(ours)


def test_both_modes_of_a_replaced_database_share_the_changeset() -> None:
    for mode in ("replace", "both"):
        ours = world(mode)
        drive_one_upload(ours, {})
        latest = store.read_latest(ours.bucket, ORG).value
        assert (latest.sync, latest.file, latest.written_by) == (mode, None, latest.run)
        assert [link.key in ours.bucket.objects for link in latest.chain] == [True]
