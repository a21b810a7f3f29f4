"""Machines that are kept stopped, against the server: one task at a time, a setup of its own each time, and every refusal."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localstack.fly.faults import Dropped, FaultClient, NoCapacity, NotFound, OutOfMemory, ServerError
from mailtide.adapters.fly import FlyClient, FlyMachinePool
from mailtide.adapters.fly.errors import FlyLeaseHeldError, FlyNoCapacityError, FlyNotFoundError
from mailtide.machines import MachineInfo, Setup
from tests.integration.fly.conftest import SMALL
from tests.integration.fly.processes import environment_of, eventually

EMPTY = Setup(image="echo", size=SMALL, metadata={"pool": "1"})


def task(number: int = 1, image: str = "echo") -> Setup:
    metadata = {"pool": "1", "run": f"r{number}"}
    return Setup(image=image, size=SMALL, env={"GREETING": f"task {number}"}, metadata=metadata)


@pytest.fixture
def pool(client: FlyClient) -> FlyMachinePool:
    return FlyMachinePool(client, lease_patience_s=0.1, lease_pause_s=0.02)


@pytest.fixture
def kept(pool: FlyMachinePool) -> MachineInfo:
    made = pool.add("pool-1", ("iad",), EMPTY, volume_name="cache", volume_gb=1)
    assert made is not None
    return made


def begin(pool: FlyMachinePool, machine: MachineInfo, setup: Setup) -> MachineInfo | None:
    return pool.hand_over(machine.id, machine.version, setup, otherwise=EMPTY)


def stopped(client: FlyClient, machine_id: str) -> MachineInfo:
    assert client.wait(machine_id, "stopped", timeout_s=5) is not None
    return client.get(machine_id).info


def test_a_kept_machine_does_task_after_task_and_is_stopped_in_between(
    pool: FlyMachinePool, kept: MachineInfo, client: FlyClient, log_of: Callable[[str], str]
) -> None:
    assert (kept.state, kept.started_at) == ("created", None)
    for number in (1, 2, 3):
        taken = begin(pool, client.get(kept.id).info, task(number))
        assert taken is not None
        assert taken.metadata["run"] == f"r{number}"
        ended = stopped(client, kept.id)
        assert (ended.exit_code, ended.running, ended.gone) == (0, False, False)
    assert log_of(kept.id) == "task 1\ntask 2\ntask 3\n"


def test_it_sees_its_own_task_alone_and_the_folder_of_its_volume(
    pool: FlyMachinePool, client: FlyClient, faults: FaultClient
) -> None:
    setup = Setup(image="sleeper", size=SMALL, env={"CACHE": "/data", "ONE": "1"}, metadata={"run": "r1"})
    kept = pool.add("pool-1", ("iad",), setup, volume_name="cache", volume_gb=1)
    assert kept is not None
    other = setup.model_copy(update={"env": {"CACHE": "/data", "TWO": "2"}, "metadata": {"run": "r2"}})
    pool.hand_over(kept.id, kept.version, other, otherwise=setup)
    client.wait(kept.id, "started", timeout_s=5)
    row = next(row for row in faults.machines() if row["id"] == kept.id)
    assert eventually(lambda: Path(f"/proc/{row['pid']}/exe").resolve().name != "sh")
    seen = environment_of(row["pid"])
    (volume,) = (row for row in faults.volumes() if row["id"] == kept.volume)
    assert (seen["CACHE"], seen["TWO"], "ONE" in seen) == (volume["folder"], "2", False)


def test_what_is_on_the_volume_stays_and_the_rest_does_not(
    pool: FlyMachinePool, client: FlyClient, faults: FaultClient
) -> None:
    line = 'ls "$CACHE" "$TMPDIR" > "$CACHE/seen"; touch "$CACHE/kept" "$TMPDIR/lost"'
    setup = EMPTY.model_copy(update={"command": ("/bin/sh", "-c", line), "env": {"CACHE": "/data"}})
    kept = pool.add("pool-1", ("iad",), setup, volume_name="cache", volume_gb=1)
    assert kept is not None
    for number in ("1", "2"):
        changed = setup.model_copy(update={"metadata": {"run": number}})
        assert begin(pool, client.get(kept.id).info, changed) is not None
        stopped(client, kept.id)
    folder = next(row["folder"] for row in faults.volumes() if row["id"] == kept.volume)
    told = (Path(folder) / "seen").read_text()
    assert "kept" in told
    assert "lost" not in told


def test_many_at_once_for_one_machine_and_one_gets_it(
    kept: MachineInfo, client: FlyClient, log_of: Callable[[str], str]
) -> None:
    patient = FlyMachinePool(client, lease_patience_s=5, lease_pause_s=0.02)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda number: begin(patient, kept, task(number)), range(8)))
    (winner,) = (number for number, info in enumerate(found) if info is not None)
    stopped(client, kept.id)
    assert log_of(kept.id) == f"task {winner}\n"


def test_the_same_task_at_once_starts_one_machine_once(
    kept: MachineInfo, client: FlyClient, log_of: Callable[[str], str]
) -> None:
    patient = FlyMachinePool(client, lease_patience_s=5, lease_pause_s=0.02)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: begin(patient, kept, task()), range(4)))
    assert [info.id for info in found if info is not None] == [kept.id] * 4
    stopped(client, kept.id)
    assert log_of(kept.id) == "task 1\n"


def test_another_version_a_running_and_a_gone_machine_are_not_to_be_had(
    pool: FlyMachinePool, kept: MachineInfo, client: FlyClient
) -> None:
    first = begin(pool, kept, task(1, image="sleeper"))
    assert first is not None
    assert begin(pool, kept, task(2)) is None
    assert begin(pool, first, task(2)) is None
    assert client.get(kept.id).info.metadata["run"] == "r1"
    client.destroy(kept.id, force=True)
    assert begin(pool, first, task(2)) is None
    assert pool.hand_over("d0000000000000", "01", task(2)) is None


def test_a_machine_that_others_lease_is_not_touched(pool: FlyMachinePool, kept: MachineInfo, client: FlyClient) -> None:
    lease = client.acquire_lease(kept.id, ttl_s=30)
    with pytest.raises(FlyLeaseHeldError):
        begin(pool, kept, task())
    client.release_lease(kept.id, lease.nonce)
    assert client.get(kept.id).instance_id == kept.version
    assert begin(pool, kept, task()) is not None


@pytest.mark.parametrize("wording", ["insufficient_capacity", "aborted", "volume_placement_capacity", "over_quota"])
def test_no_room_on_its_host_leaves_it_empty_and_stopped(
    pool: FlyMachinePool, kept: MachineInfo, client: FlyClient, faults: FaultClient, wording: str
) -> None:
    faults.plant(NoCapacity.model_validate({"action": "start", "wording": wording}))
    assert begin(pool, kept, task()) is None
    after = client.get(kept.id)
    assert (after.state, dict(after.info.metadata), after.info.started_at) == ("created", {"pool": "1"}, None)
    assert begin(pool, after.info, task(2)) is not None


def test_a_lost_answer_is_asked_for_again_and_nothing_starts_twice(
    pool: FlyMachinePool, kept: MachineInfo, client: FlyClient, faults: FaultClient, log_of: Callable[[str], str]
) -> None:
    faults.plant(Dropped(action="update", when="after"))
    with pytest.raises(Exception, match="no answer"):
        begin(pool, kept, task())
    assert begin(pool, kept, task()) is not None
    stopped(client, kept.id)
    again = begin(pool, kept, task())
    assert again is not None
    assert again.exit_code == 0
    faults.plant(ServerError(action="start", when="after"))
    assert begin(pool, client.get(kept.id).info, task(2)) is not None
    stopped(client, kept.id)
    assert log_of(kept.id) == "task 1\ntask 2\n"


def test_an_exit_belongs_to_the_task_that_it_ended(
    pool: FlyMachinePool, kept: MachineInfo, client: FlyClient, faults: FaultClient
) -> None:
    faults.plant(OutOfMemory(metadata={"run": "r1"}))
    begin(pool, kept, task(1, image="sleeper"))
    first = stopped(client, kept.id)
    assert (first.exit_code, first.oom_killed) == (137, True)
    second = begin(pool, first, task(2, image="sleeper"))
    assert second is not None
    assert (second.running, second.exit_code, second.oom_killed) == (True, None, False)


def test_a_machine_that_vanished_is_not_to_be_had(pool: FlyMachinePool, kept: MachineInfo, faults: FaultClient) -> None:
    faults.plant(NotFound(action="lease_acquire"))
    assert begin(pool, kept, task()) is None


def test_its_name_is_unique_and_a_volume_of_a_second_one_does_not_stay(pool: FlyMachinePool, kept: MachineInfo) -> None:
    assert pool.add("pool-1", ("iad",), EMPTY, volume_name="cache", volume_gb=1) is None
    (volume,) = pool.volumes()
    assert (volume.id, volume.machine_id, volume.region, volume.size_gb) == (kept.volume, kept.id, "iad", 1)


def test_the_next_region_is_taken_where_one_has_no_room(pool: FlyMachinePool, faults: FaultClient) -> None:
    faults.plant(NoCapacity(action="volume_create", region="iad", wording="volume_placement_capacity", count=None))
    faults.plant(NoCapacity(action="create", region="ord", count=None))
    made = pool.add("pool-1", ("iad", "ord", "ewr"), EMPTY, volume_name="cache", volume_gb=1)
    assert made is not None
    assert made.region == "ewr"
    assert [volume.region for volume in pool.volumes()] == ["ewr"]
    with pytest.raises(FlyNoCapacityError):
        pool.add("pool-2", ("iad", "ord"), EMPTY, volume_name="cache", volume_gb=1)
    assert len(pool.volumes()) == 1


def test_a_volume_goes_when_its_machine_has_gone(pool: FlyMachinePool, kept: MachineInfo, client: FlyClient) -> None:
    assert kept.volume is not None
    with pytest.raises(Exception, match="attached"):
        pool.remove_volume(kept.volume)
    client.destroy(kept.id, force=True)
    pool.remove_volume(kept.volume)
    pool.remove_volume(kept.volume)
    assert pool.volumes() == []


def test_another_image_alone_is_a_change(pool: FlyMachinePool, kept: MachineInfo, client: FlyClient) -> None:
    changed = EMPTY.model_copy(update={"image": "sleeper"})
    assert pool.hand_over(kept.id, kept.version, changed) is not None
    assert client.get(kept.id).info.image == "sleeper"


def test_the_app_is_asked_for(pool: FlyMachinePool, client: FlyClient, faults: FaultClient) -> None:
    assert pool.check_app() == client.app
    faults.plant(NotFound(action="app_get"))
    with pytest.raises(FlyNotFoundError):
        pool.check_app()
