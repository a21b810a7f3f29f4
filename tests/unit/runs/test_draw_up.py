"""Databases that no machine could deliver are refused before one is launched."""

import pytest

from mailtide.contracts import MAX_DELIVERED_BYTES
from mailtide.errors import DatabaseError
from mailtide.runs.draw_up import check_size


def test_what_can_be_delivered_goes_on() -> None:
    check_size(1_000_000, 90_000_000)
    check_size(5_000_000, 4_400_000_000)
    check_size(10_000_000, 8_700_000_000)
    check_size(0, MAX_DELIVERED_BYTES)


@pytest.mark.parametrize(
    ("contacts", "size_bytes", "told"), [(100_000_000, 9_300_000_000, "50.0"), (3, 60_000_000_000, "60.0")]
)
def test_what_cannot_is_refused_in_one_sentence(contacts: int, size_bytes: int, told: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        check_size(contacts, size_bytes)
    assert str(refused.value) == (
        f"A database of {contacts:,} contacts has {told} GB or more with its schedule; at most 42.9 GB can be delivered."
    )
