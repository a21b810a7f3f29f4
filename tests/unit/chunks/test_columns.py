"""Packed columns: what is written is read, in as few bytes as it needs, and nothing else is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.contracts.candidates import UnreadableError
from mailtide.machine.chunks.columns import HEAD_BYTES, Cursor, pack

ANY = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30)


@given(ANY)
def test_signed_integers_come_back(values: list[int]) -> None:
    cursor = Cursor(pack(np.array(values, np.int64)))
    assert cursor.signed(len(values), most_constant=30).tolist() == values
    assert not cursor.left


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30))
def test_unsigned_integers_come_back(values: list[int]) -> None:
    assert Cursor(pack(np.array(values, np.uint64))).unsigned(len(values), most_constant=30).tolist() == values


@pytest.mark.parametrize(
    ("values", "width"),
    [([7, 7, 7], 0), ([-5, 250], 1), ([0, 256], 2), ([-1, 70_000], 4), ([-(2**63), 2**63 - 1], 8), ([], 0)],
)
def test_the_width_is_that_of_the_spread(values: list[int], width: int) -> None:
    assert len(pack(np.array(values, np.int64))) == HEAD_BYTES + width * len(values)


def test_what_ends_early_is_refused() -> None:
    packed = pack(np.array([1, 2, 300], np.int64))
    for end in range(len(packed)):
        with pytest.raises(UnreadableError, match="ends too early"):
            Cursor(packed[:end]).signed(3, most_constant=3)


def test_counts_are_checked_before_anything_is_allocated() -> None:
    with pytest.raises(UnreadableError, match="more rows than it can have"):
        Cursor(pack(np.array([4, 4], np.int64))).signed(2**50, most_constant=100)
    with pytest.raises(UnreadableError, match="ends too early"):
        Cursor(pack(np.array([4, 5], np.int64))).signed(2**50, most_constant=2**60)
    with pytest.raises(UnreadableError, match="unknown width"):
        Cursor(b"\3" + bytes(20)).signed(1, most_constant=1)
