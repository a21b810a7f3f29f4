"""What machines were measured to do: robust, kept by size and kind, learned from finished runs, and never in a run's way."""

from datetime import UTC, datetime

import pytest

from mailtide.contracts import Calibration, Sample
from mailtide.errors import StaleWriteError
from mailtide.ports import StoredObject
from mailtide.runs import keys
from mailtide.runs.calibration import read_calibration, speeds_of, store_samples
from mailtide.settings import CHUNK_SIZE, MERGE_SIZE
from tests.model.simulation.drive import drive_one_upload
from tests.model.simulation.world import IN_CHUNKS, Worker, World
from tests.support.memory_bucket import MemoryBucket
from tests.support.memory_clock import MemoryClock
from tests.support.memory_machines import MemoryMachine

AT = datetime(2026, 11, 22, tzinfo=UTC)


def sample(source: str, read: float, **changes: object) -> Sample:
    given: dict[str, object] = {"source": source, "kind": "whole", "at": AT, "contacts": 10**5}
    return Sample.model_validate(given | {"contacts_per_s": {"read": read}} | changes)


def bucket() -> MemoryBucket:
    return MemoryBucket(MemoryClock())


def test_a_few_odd_figures_move_nothing() -> None:
    calibration = Calibration()
    for number, read in enumerate([100.0, 101.0, 1.0, 99.0, 9_000.0, 100.0, 102.0]):
        calibration = calibration.with_sample(CHUNK_SIZE, sample(f"run-{number}", read))
    assert calibration.of(CHUNK_SIZE).contacts_per_s("whole") == {"read": 100.0}
    assert calibration.of(MERGE_SIZE).contacts_per_s("whole") == {}


def test_the_last_nine_of_a_kind_count_and_each_source_once() -> None:
    calibration = Calibration()
    for number in range(30):
        calibration = calibration.with_sample(CHUNK_SIZE, sample(f"run-{number}", float(number)))
        calibration = calibration.with_sample(CHUNK_SIZE, sample(f"run-{number}", float(number)))
    calibration = calibration.with_sample(CHUNK_SIZE, sample("chunk", 7.0, kind="chunk"))
    figures = calibration.of(CHUNK_SIZE)
    assert [one.source for one in figures.samples] == [*(f"run-{number}" for number in range(21, 30)), "chunk"]
    assert figures.contacts_per_s("whole") == {"read": 25.0}
    assert figures.contacts_per_s("chunk") == {"read": 7.0}


def test_boot_and_transfer_are_of_all_kinds() -> None:
    calibration = Calibration()
    for number, kind in enumerate(("whole", "chunk", "merge")):
        one = sample(f"run-{number}", 1.0, kind=kind, boot_s=float(number), transfer_bytes_per_s=10.0 * number or None)
        calibration = calibration.with_sample(CHUNK_SIZE, one)
    assert (calibration.of(CHUNK_SIZE).boot_s, calibration.of(CHUNK_SIZE).transfer_bytes_per_s) == (1.0, 15.0)
    assert (calibration.of(MERGE_SIZE).boot_s, calibration.of(MERGE_SIZE).transfer_bytes_per_s) == (None, None)


def test_steps_of_few_contacts_or_no_time_say_nothing() -> None:
    seconds = {"read": 0.5, "check": 0.0, "total": 0.7, "odd": "x"}
    assert speeds_of({"seconds": seconds}, 20_000) == {"read": 40_000.0}
    assert speeds_of({"seconds": seconds}, 9_999) == {}
    assert speeds_of({}, 20_000) == {}


def test_figures_are_kept_in_the_bucket() -> None:
    ours = bucket()
    assert read_calibration(ours).machines == ()
    for number in range(3):
        assert store_samples(ours, [(CHUNK_SIZE, sample(f"run-{number}", 5.0)), (MERGE_SIZE, sample("m", 6.0))])
    read = read_calibration(ours)
    assert len(read.of(CHUNK_SIZE).samples) == 3
    assert len(read.of(MERGE_SIZE).samples) == 1


def test_an_object_that_nobody_understands_is_as_good_as_none() -> None:
    ours = bucket()
    ours.put(keys.CALIBRATION, b"{'not': json")
    assert read_calibration(ours).machines == ()
    assert store_samples(ours, [(CHUNK_SIZE, sample("run", 5.0))])
    assert read_calibration(ours).of(CHUNK_SIZE).contacts_per_s("whole") == {"read": 5.0}


@pytest.mark.parametrize("stood", [False, True])
def test_losing_a_race_is_fine(stood: bool) -> None:
    class Late(MemoryBucket):
        """Somebody else writes between the look and the write."""

        def get(self, key: str) -> StoredObject | None:
            found = super().get(key)
            self.put(key, Calibration().with_sample(CHUNK_SIZE, sample("theirs", 9.0)).to_bytes())
            return found

    ours = Late(MemoryClock())
    if stood:
        ours.put(keys.CALIBRATION, Calibration().to_bytes())
    assert not store_samples(ours, [(CHUNK_SIZE, sample("ours", 5.0))])
    with pytest.raises(StaleWriteError):
        ours.create(keys.CALIBRATION, b"")


def test_a_finished_run_leaves_its_figures() -> None:
    seconds = {"read": 0.5, "settle": 1.0, "total": 1.5}
    world = World(settings=IN_CHUNKS, report=lambda _: {"contacts": 100_000, "rows": {}, "seconds": seconds})
    drive_one_upload(world, {})
    read = read_calibration(world.bucket)
    assert read.of(CHUNK_SIZE).contacts_per_s("chunk") == {"read": 200_000.0, "settle": 100_000.0}
    assert read.of(MERGE_SIZE).contacts_per_s("merge") == {"read": 200_000.0, "settle": 100_000.0}
    sources = [one.source.partition("/")[2] for one in read.of(CHUNK_SIZE).samples]
    assert sources == ["chunk-0001", "chunk-0002", "chunk-0003"]
    boots = [one.boot_s for machine in read.machines for one in machine.samples]
    assert all(boot is not None and boot >= 0 for boot in boots)


class SlowHost(World):
    """Its machines begin more than three minutes after their creation."""

    def boot(self, machine: MemoryMachine) -> Worker:
        self.clock.advance(200.0)
        return super().boot(machine)


def test_a_boot_that_only_a_wrong_clock_explains_is_left_out() -> None:
    world = SlowHost()
    drive_one_upload(world, {})
    assert [one.boot_s for machine in read_calibration(world.bucket).machines for one in machine.samples] == [None]
