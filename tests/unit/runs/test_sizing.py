"""Which machine, how long, how much: arithmetic on the table."""

import pytest

from mailtide.machines import MachineSize
from mailtide.runs.sizing import egress_usd, machine_usd, requests_usd, size_run
from mailtide.settings import SIZE_TABLE, Settings

SETTINGS = Settings(bucket="b")


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
        (2_000_000, 16_384, 0),
        (10**9, 16_384, 0),
    ],
)
def test_the_smallest_that_will_do_then_all_larger_ones(contacts: int, memory_mb: int, larger: int) -> None:
    sizing = size_run(SETTINGS, contacts=contacts, size_bytes=1)
    assert [size.memory_mb for size in sizing.sizes] == [tier.size.memory_mb for tier in SIZE_TABLE[-larger - 1 :]]
    assert sizing.sizes[0].memory_mb == memory_mb
    assert sizing.threads == sizing.sizes[0].cpus


def test_a_table_that_ends_takes_its_last_for_all_above() -> None:
    settings = Settings(bucket="b", size_table=SIZE_TABLE[:2])
    assert size_run(settings, contacts=10**7, size_bytes=1).sizes == (SIZE_TABLE[1].size,)


def test_seconds_are_boot_pass_and_two_transfers() -> None:
    sizing = size_run(SETTINGS, contacts=200_000, size_bytes=120_000_000)
    assert sizing.expected_s == pytest.approx(3.0 + 2.0 + 4.0)


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
    machine = machine_usd(SETTINGS, sizing.sizes[0], sizing.expected_s)
    assert egress_usd(SETTINGS, 100_000_000) == pytest.approx(0.009)
    assert sizing.expected_usd == pytest.approx(machine + 0.009 + requests_usd(SETTINGS), abs=1e-6)
