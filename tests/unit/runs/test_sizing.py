"""Which machines, how long, how much: arithmetic on the table and on what was measured."""

from datetime import UTC, datetime

import pytest

from mailtide.contracts import Calibration, Sample
from mailtide.machines import MachineSize
from mailtide.runs.sizing import Sizing, egress_usd, launch_delay_s, machine_usd, requests_usd, size_run
from mailtide.runs.speeds import Speeds
from mailtide.settings import CHUNK_SIZE, MERGE_SIZE, SIZE_TABLE, Settings

SETTINGS = Settings(bucket="b")
PERFORMANCE_8X = SIZE_TABLE[-1].size
SLOW = {"read": 800.0, "decide": 800.0, "parts": 80_000.0, "settle": 80_000.0, "compare": 80_000.0, "write": 80_000.0}
"""Deciding so slowly that a deadline asks for chunks."""
NO_WAIT = {"handover_s": 0.0, "boot_s": 0.0, "egress_usd_per_gb": 0.0, "usd_per_1000_requests": 0.0}


def size(contacts: int, **settings: object) -> Sizing:
    return size_run(Settings.model_validate({"bucket": "b"} | settings), contacts=contacts, size_bytes=95 * contacts)


@pytest.mark.parametrize(
    ("contacts", "memory_mb", "larger"),
    [
        (0, 1_024, 4),
        (9_999, 1_024, 4),
        (10_000, 2_048, 3),
        (99_999, 2_048, 3),
        (100_000, 4_096, 2),
        (499_999, 4_096, 2),
        (500_000, 8_192, 1),
        (1_999_999, 8_192, 1),
        (2_000_000, 16_384, 0),
        (10**9, 16_384, 0),
    ],
)
def test_the_smallest_that_will_do_then_all_larger_ones(contacts: int, memory_mb: int, larger: int) -> None:
    sizing = size(contacts, deadline_s=86_400)
    assert sizing.chunks == 0
    assert [size.memory_mb for size in sizing.sizes] == [tier.size.memory_mb for tier in SIZE_TABLE[-larger - 1 :]]
    assert sizing.sizes[0].memory_mb == memory_mb
    assert sizing.threads == sizing.sizes[0].cpus


def test_a_table_that_ends_takes_its_last_for_all_above() -> None:
    assert size(10**7, size_table=SIZE_TABLE[:2]).sizes == (SIZE_TABLE[1].size,)


def test_seconds_are_handovers_boot_transfers_and_pass() -> None:
    """On performance-2x: 7.2 µs of one processor a contact, 52 % of it shared by two; 93 bytes in, 93 + 780 out."""
    sizing = size_run(SETTINGS, contacts=200_000, size_bytes=18_600_000)
    cpu_s = 200_000 * (2 / 800_000 + 1 / 2_000_000 + 1 / 210_000)
    transfer_s = (2 * 18_600_000 + 780 * 200_000) / 60_000_000
    assert sizing.sizes[0] == CHUNK_SIZE
    assert sizing.expected_s == pytest.approx(2 * 1.0 + 3.0 + cpu_s * 0.74 + transfer_s, abs=0.01)


def test_a_database_that_holds_a_schedule_does_not_grow() -> None:
    with_schedule = size_run(SETTINGS, contacts=200_000, size_bytes=174_000_000)
    cpu_s = 200_000 * (2 / 800_000 + 1 / 2_000_000 + 1 / 210_000)
    assert with_schedule.expected_s == pytest.approx(5.0 + cpu_s * 0.74 + 2 * 174 / 60, abs=0.01)


def test_shared_processors_count_by_their_quota() -> None:
    speeds = Speeds(SETTINGS)
    one, two = (speeds.pass_s("chunk", SIZE_TABLE[tier].size, 80_000) for tier in (0, 1))
    assert one == pytest.approx(16 * 80_000 / 400_000)
    assert two == pytest.approx(one / 2)
    assert Speeds(Settings(bucket="b", shared_cpu_share=1)).pass_s(
        "chunk", SIZE_TABLE[1].size, 80_000
    ) == pytest.approx(0.74 * 80_000 / 400_000)


def test_the_cheapest_that_meets_the_deadline() -> None:
    """A larger machine is taken when the table's own is too slow; the fastest when none is fast enough."""
    slow = {"steps_contacts_per_s": {"write": 20_000.0}, "chunking": "never"} | NO_WAIT
    by_deadline = {deadline_s: size(1_000_000, deadline_s=deadline_s, **slow) for deadline_s in (120, 49, 46, 1)}
    assert [sizing.sizes[0].cpus for sizing in by_deadline.values()] == [4, 4, 8, 8]
    assert [sizing.meets_deadline for sizing in by_deadline.values()] == [True, True, True, False]
    assert by_deadline[120].expected_usd < by_deadline[46].expected_usd


@pytest.mark.parametrize(
    ("contacts", "chunks"), [(499_999, 0), (500_000, 5), (750_001, 8), (1_000_000, 8), (9_000_000, 8)]
)
def test_chunks_of_a_hundred_thousand_and_eight_at_most(contacts: int, chunks: int) -> None:
    sizing = size(contacts, chunking="always")
    assert (sizing.chunks, sizing.machines) == (chunks, chunks + 1)
    if chunks:
        assert sizing.chunk_sizes[0] == CHUNK_SIZE
        assert sizing.sizes[0] == (MERGE_SIZE if contacts < 2_000_000 else PERFORMANCE_8X)
        assert PERFORMANCE_8X in sizing.chunk_sizes


def test_chunks_where_they_meet_the_deadline_for_less() -> None:
    """With a pass of 400 contacts a second and processor: the fewest chunks that are in time; with the usual one, none at all."""
    slow = {"steps_contacts_per_s": SLOW, "transfer_bytes_per_s": 1e9} | NO_WAIT
    options = {deadline: size(500_000, deadline_s=deadline, **slow) for deadline in (3_000, 400, 300, 210, 10)}
    assert [option.chunks for option in options.values()] == [2, 3, 4, 5, 5]
    assert [option.meets_deadline for option in options.values()] == [True] * 4 + [False]
    assert options[10].sizes[0].cpus == 8
    seconds = [option.expected_s for option in options.values()]
    assert seconds == sorted(seconds, reverse=True)
    assert size(500_000, deadline_s=400, chunking="never", **slow).chunks == 0
    assert (
        size_run(Settings.model_validate({"bucket": "b"} | slow), contacts=500_000, size_bytes=1, max_chunks=0).chunks
        == 0
    )
    assert size(500_000).chunks == 0


def test_machines_that_the_table_does_not_price_do_no_chunks() -> None:
    unpriced = MachineSize(cpu_kind="performance", cpus=2, memory_mb=8_192)
    assert size(1_000_000, chunking="always", chunk_size=unpriced).chunks == 0


def test_launches_are_paced_as_the_host_allows() -> None:
    assert [launch_delay_s(SETTINGS, number) for number in range(8)] == [0, 0, 0, 1, 2, 3, 4, 5]
    slower = Settings(bucket="b", launches_per_s=0.4, launch_burst=1)
    assert [launch_delay_s(slower, number) for number in range(4)] == [0, 3, 5, 8]
    assert launch_delay_s(Settings(bucket="b", launches_per_s=0.01), 63) == 900
    fast = size(800_000, chunking="always", launches_per_s=100)
    assert size(800_000, chunking="always").expected_s == pytest.approx(fast.expected_s + 4)


def test_chunk_tasks_cover_all_ids() -> None:
    sizing = size(800_000, chunking="always", max_chunks=3)
    *chunks, merge = sizing.tasks([-5, 70])
    assert [(task.task, task.first_id, task.last_id) for task in chunks] == [
        ("chunk-0001", None, -5),
        ("chunk-0002", -4, 70),
        ("chunk-0003", 71, None),
    ]
    assert {(task.kind, task.threads) for task in chunks} == {("chunk", 2)}
    assert (merge.task, merge.kind, merge.first_id, merge.last_id, merge.threads) == ("merge", "merge", None, None, 4)
    (whole,) = sizing.tasks([])
    assert whole.task == "whole"


def test_what_was_measured_counts_more_than_the_settings() -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    steps = {"read": 1_000_000.0, "decide": 500_000.0, "check": 1_000_000.0}
    sample = Sample(
        source="a", kind="whole", at=at, contacts=10**5, contacts_per_s=steps, boot_s=1.0, transfer_bytes_per_s=2e8
    )
    speeds = Speeds(SETTINGS, Calibration().with_sample(CHUNK_SIZE, sample))
    assert speeds.pass_s("whole", CHUNK_SIZE, 1_000_000) == pytest.approx(4.0)
    assert speeds.pass_s("chunk", CHUNK_SIZE, 1_000_000) == Speeds(SETTINGS).pass_s("chunk", CHUNK_SIZE, 1_000_000)
    assert (speeds.boot_s(CHUNK_SIZE), speeds.boot_s(MERGE_SIZE)) == (1.0, 3.0)
    assert (speeds.transfer_s(CHUNK_SIZE, 2e8), speeds.transfer_s(MERGE_SIZE, 6e7)) == (1.0, 1.0)
    sizing = size_run(SETTINGS, contacts=200_000, size_bytes=200_000_000, speeds=speeds)
    assert sizing.expected_s == pytest.approx(2.0 + 1.0 + 0.8 + 2.0)


def test_machine_seconds_are_charged_when_started() -> None:
    size = SIZE_TABLE[0].size
    assert machine_usd(SETTINGS, size, 0.0) == 0.0
    assert machine_usd(SETTINGS, size, 0.1) == pytest.approx(0.000_002_2)
    assert machine_usd(SETTINGS, size, 60.0) == pytest.approx(60 * 0.000_002_2)
    assert machine_usd(SETTINGS, size, 60.001) == pytest.approx(61 * 0.000_002_2)


def test_a_size_without_a_price_costs_nothing_here() -> None:
    assert machine_usd(SETTINGS, MachineSize(cpu_kind="shared", cpus=8, memory_mb=512), 10.0) == 0.0


def test_dollars_add_up() -> None:
    sizing = size_run(SETTINGS, contacts=50_000, size_bytes=100_000_000)
    machine = machine_usd(SETTINGS, sizing.sizes[0], sizing.expected_s - 2.0)
    assert egress_usd(SETTINGS, 100_000_000) == pytest.approx(0.009)
    assert sizing.expected_usd == pytest.approx(machine + 0.009 + requests_usd(SETTINGS), abs=1e-6)


def test_the_dollars_of_chunks_add_up() -> None:
    settings = Settings(bucket="b", chunking="always", boot_s=0.5, handover_s=0.0, transfer_bytes_per_s=1e15)
    sizing = size_run(settings, contacts=500_000, size_bytes=100_000_000)
    chunk = machine_usd(settings, CHUNK_SIZE, 0.5 + 100_000 / 400_000 * 0.74)
    merge_s = 0.5 + 0.61 * 500_000 * (1 / 10_000_000 + 1 / 1_000_000 + 1 / 2_000_000 + 1 / 210_000)
    merge = machine_usd(settings, MERGE_SIZE, merge_s)
    egress = egress_usd(settings, 200_000_000 + 6 * 500_000)
    assert sizing.expected_usd == pytest.approx(5 * chunk + merge + egress + requests_usd(settings, 5), abs=1e-6)
    assert sizing.expected_s == pytest.approx(2 + 0.5 + 100_000 / 400_000 * 0.74 + merge_s, abs=0.01)
