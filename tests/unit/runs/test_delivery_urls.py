"""By which URLs a machine stores what it made: parts where the database may be large, in an upload of each try's own."""

from datetime import UTC, date, datetime

import pytest

from mailtide.contracts import Inspection, LaunchMessage, Plan, SourceRef, TaskDocument, TaskPlan
from mailtide.machines import MachineSize
from mailtide.runs import keys, store
from mailtide.runs.launch import launch_machine
from mailtide.settings import Settings
from tests.support.memory_services import MemoryServices

NOW = datetime(2026, 11, 22, 6, tzinfo=UTC)
SIZE = MachineSize(cpu_kind="performance", cpus=8, memory_mb=16_384)
RUN = "ab" * 10


@pytest.fixture
def memory() -> MemoryServices:
    return MemoryServices(Settings(bucket="memory", machine_image="app:1"))


def launched(memory: MemoryServices, contacts: int, size_bytes: int, attempt: int = 1) -> TaskDocument:
    """The document of a run's machine."""
    plan = Plan(
        org="acme",
        run=RUN,
        trigger="upload",
        source=SourceRef(etag="e" * 32, last_modified=NOW, size_bytes=size_bytes),
        as_of=date(2026, 11, 22),
        planned_at=NOW,
        opened_at=NOW,
        rules_yaml=None,
        rules_sha256="0" * 64,
        inspection=Inspection(contacts_estimate=contacts, page_size_bytes=4_096, requests=3, bytes_read=9),
        tasks=(TaskPlan(task="whole", kind="whole", sizes=(SIZE,), threads=8),),
        deadline_s=60,
        expected_s=5,
        expected_usd=0.002,
    )
    store.create_once(memory.bucket, keys.plan("acme", RUN), plan)
    launch_machine(memory.services, LaunchMessage(org="acme", run=RUN, task="whole", attempt=attempt))
    document = store.read(memory.bucket, keys.TryKeys("acme", RUN, "whole", attempt).document, TaskDocument)
    assert document is not None
    return document


def test_a_large_database_goes_up_in_parts_that_hold_all_that_may_be_delivered(memory: MemoryServices) -> None:
    urls = launched(memory, 10_000_000, 930_000_000).urls
    assert set(urls.deliver_parts) == {"contacts.db", "schedule.changeset", "schedule.parquet"} < set(urls.deliver_put)
    parts = urls.deliver_parts["contacts.db"]
    assert (len(set(parts.put)), parts.part_bytes) == (160, 256 << 20)
    assert parts.complete not in parts.put


@pytest.mark.parametrize(
    ("contacts", "size_bytes", "names"), [(100_000, 9_300_000, set()), (2_000_000, 186_000_000, {"contacts.db"})]
)
def test_what_one_request_surely_takes_goes_by_one(
    memory: MemoryServices, contacts: int, size_bytes: int, names: set[str]
) -> None:
    assert set(launched(memory, contacts, size_bytes).urls.deliver_parts) == names


def test_each_try_has_an_upload_of_its_own(memory: MemoryServices) -> None:
    first = launched(memory, 2_000_000, 186_000_000).urls.deliver_parts["contacts.db"]
    second = launched(memory, 2_000_000, 186_000_000, attempt=2).urls.deliver_parts["contacts.db"]
    assert not {*first.put, first.complete} & {*second.put, second.complete}
    assert [upload.key.rpartition("/tasks/")[2] for upload in memory.bucket.uploads.values()] == [
        "whole/1/contacts.db",
        "whole/2/contacts.db",
    ]


@pytest.mark.parametrize(
    ("contacts", "size_bytes", "rootfs_gb"), [(1_000_000, 93_000_000, None), (10_000_000, 930_000_000, 20)]
)
def test_a_machine_has_room_for_the_file_and_the_copy_that_is_changed(
    memory: MemoryServices, contacts: int, size_bytes: int, rootfs_gb: int | None
) -> None:
    launched(memory, contacts, size_bytes)
    (machine,) = memory.machines.machines.values()
    assert machine.request.rootfs_gb == rootfs_gb
