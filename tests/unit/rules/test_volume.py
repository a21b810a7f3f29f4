"""Small files that ask for more mails than anybody has room for."""

from datetime import date
from pathlib import Path

import pytest

from mailtide.errors import DatabaseError, DatabaseMemoryError
from mailtide.machine.memory import available_memory_bytes
from mailtide.rules.config import load_rules
from mailtide.rules.decide import decide
from mailtide.rules.volume import FEW_MAILS, Limits
from tests.reference.tables import Tables
from tests.unit.rules.bridge import day_number, to_inputs
from tests.unit.rules.small import campaign_type, contact, instance

AS_OF = day_number(date(2026, 3, 1))
RULES = load_rules()
CONTACTS = 200


def campaigns(count: int, start: str = "2026-03-01") -> Tables:
    tables = Tables(
        campaign_types=[campaign_type("news", target_all_contacts=True)],
        instances=[instance(number, "news", start) for number in range(1, count + 1)],
    )
    tables.contacts += [contact(number, "TX", "1950-05-01", None) for number in range(CONTACTS)]
    return tables


def test_more_mails_than_are_allowed_are_refused_before_any_is_made() -> None:
    limits = Limits(mails_per_contact=100)
    with pytest.raises(DatabaseError) as refused:
        decide(to_inputs(campaigns(20_000)), RULES, AS_OF, limits=limits)
    assert str(refused.value) == (
        "The campaigns and rules ask for up to 4,000,800 mails for 200 contacts; 100 a contact are allowed "
        "(MAILTIDE_MAX_MAILS_PER_CONTACT)."
    )
    assert not isinstance(refused.value, MemoryError)


def test_more_mails_than_fit_into_the_memory_ask_for_a_larger_machine() -> None:
    limits = Limits(memory_bytes=10_000_000)
    with pytest.raises(DatabaseMemoryError, match=r"^Up to 100,800 mails .* need 20 MB .* and there are 10 MB\.$"):
        decide(to_inputs(campaigns(500)), RULES, AS_OF, limits=limits)


@pytest.mark.parametrize("limits", [Limits(mails_per_contact=1), Limits(memory_bytes=0)])
def test_few_mails_are_never_too_many(limits: Limits) -> None:
    tables = campaigns(10)
    assert CONTACTS * 14 < FEW_MAILS
    assert len(decide(to_inputs(tables), RULES, AS_OF, limits=limits).desired) > 10 * CONTACTS


def test_campaigns_that_do_not_run_ask_for_nothing() -> None:
    tables = campaigns(20_000, "2026-04-01")
    assert len(decide(to_inputs(tables), RULES, AS_OF, limits=Limits(mails_per_contact=1)).desired) < 3 * CONTACTS


def test_memory_is_the_least_of_what_system_and_group_leave(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    5000 kB\n")
    group = tmp_path / "group"
    group.mkdir()
    assert available_memory_bytes(tmp_path, group) == 5000 * 1024
    (group / "memory.max").write_text("max\n")
    assert available_memory_bytes(tmp_path, group) == 5000 * 1024
    (group / "memory.max").write_text("3000000\n")
    (group / "memory.stat").write_text("anon 1000000\nfile 1900000\n")
    assert available_memory_bytes(tmp_path, group) == 2_000_000
    assert available_memory_bytes(tmp_path / "nothing", tmp_path / "nothing") is None
