"""What visits to mailboxes need and cost, by hand."""

import pytest
from click.testing import CliRunner

from mailtide.cli.main import cli
from mailtide.errors import InputError
from mailtide.warmup.reading.capacity import VisitCapacity, visit_capacity
from tests.support.warmup_pools import settings


def needs(mailboxes: int = 100_000, seconds_per_visit: float = 3.0, **values: object) -> VisitCapacity:
    return visit_capacity(
        mailboxes=mailboxes,
        users=1_000,
        mails_per_mailbox=30,
        seconds_per_visit=seconds_per_visit,
        settings=settings(**values),
    )


def test_a_hundred_thousand_mailboxes_every_half_hour() -> None:
    found = needs()
    assert found.visits_a_day == 100_000 * 48
    assert found.readers == 9, "55.6 visits a second, 3 s each, 20 of them in a call"
    assert found.write_units_per_day == 4_800_000 * 2.5 + 3_000_000 + 250_000
    assert found.read_units_per_day == 4_800_000 * 2 + 3_000_000 * 5 + 150_000
    tables = 15.25e6 * 0.625e-6 + 24.75e6 * 0.125e-6
    functions = 4_800_000 * 3 / 20 * 0.000_013_333_4 + 48_000 * 0.2e-6
    others = 144_000 * 0.4e-6 + 48_000e-6 * 0.5 + 9 * 24 * 1_000 * 0.03 / 10_000
    assert found.dollars_a_day == pytest.approx(tables + functions + others, abs=0.01)


@pytest.mark.parametrize("values", [{"read_minutes": 0}, {"mailboxes": 0}])
def test_no_visits_cost_nothing(values: dict[str, int]) -> None:
    assert needs(**values) == VisitCapacity(
        visits_a_day=0, readers=0, write_units_per_day=0, read_units_per_day=0, dollars_a_day=0
    )


def test_half_as_often_is_cheaper_and_slower_visits_need_more_readers() -> None:
    assert needs(read_minutes=60).dollars_a_day < 0.7 * needs().dollars_a_day
    assert needs(seconds_per_visit=12).readers == 4 * needs().readers - 2


def test_the_command_shows_visits_where_there_are_any() -> None:
    command = ["warmup", "capacity", "--users", "2", "--mailboxes", "5"]
    assert "visits" not in CliRunner().invoke(cli, command).stdout
    shown = CliRunner().invoke(cli, [*command, "--read", "3"]).stdout
    assert "288 a day" in shown
    assert "1 (WarmupReaders" in shown
    assert isinstance(CliRunner().invoke(cli, [*command, "--read", "6"]).exception, InputError)
