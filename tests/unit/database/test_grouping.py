"""Rows are written sorted by their constants, those of a group side by side, in the same order by any number of threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.database import grouping
from mailtide.database.grouping import grouped
from mailtide.rules.columns import Desired

WIDE = [10, -5, 2**20 + 11, 2**29, -(2**29)]
VAST = [0, 1, -1, 2**63 - 1, -(2**63)]
rows = st.tuples(
    st.integers(0, 2), st.sampled_from([20_000, 20_001, 20_400, 700_000]), st.sampled_from([19_999, 20_001]),
    st.integers(-1, 2), st.sampled_from(WIDE), st.sampled_from(VAST), st.integers(-1, 1), st.integers(-1, 3),
)  # fmt: skip


def desired_of(stored: list[tuple[int, ...]]) -> Desired:
    kind, event, send, reason, priority, campaign, email, sms = (
        np.array([row[place] for row in stored], np.int64) for place in range(8)
    )
    return Desired(
        contact=np.arange(len(stored), dtype=np.int32), email_type=kind.astype(np.int16), event=event.astype(np.int32),
        send=send.astype(np.int32), skip_reason=reason.astype(np.int16), priority=priority.astype(np.int32),
        campaign=campaign, email_template=email.astype(np.int16), sms_template=sms.astype(np.int16),
        types=["a", "b", "c"], reasons=["x", "y", "z"], templates=["s", "t", "u", "v"],
    )  # fmt: skip


def by_hand(stored: list[tuple[int, ...]], wanted: list[int]) -> tuple[list[int], list[int]]:
    """Whether skipped, the send day, the type, the event and the rest; equal rows stay in their order."""

    def constants(place: int) -> tuple[int, ...]:
        kind, event, send, reason, *rest = stored[wanted[place]]
        return (int(reason != -1), send, kind, event, reason, *rest)

    order = sorted(range(len(wanted)), key=constants)
    keys = [constants(place) for place in order]
    return order, [place for place, key in enumerate(keys) if not place or key != keys[place - 1]]


@given(st.lists(rows, min_size=1, max_size=40), st.data())
def test_rows_are_sorted_and_cut_into_groups(stored: list[tuple[int, ...]], data: st.DataObject) -> None:
    chosen = data.draw(st.none() | st.lists(st.integers(0, len(stored) - 1), min_size=1, max_size=40))
    wanted = None if chosen is None else np.array(chosen, np.int32)
    threads = data.draw(st.integers(1, 4))
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(threads) as pool:
        patch.setattr(grouping, "_CHUNK_ROWS", data.draw(st.integers(1, 9)))
        patch.setattr(grouping, "_PIECE_ROWS", data.draw(st.integers(1, 9)))
        order, starts = grouped(desired_of(stored), wanted, data.draw(st.sampled_from([None, pool])))
    expected = by_hand(stored, list(range(len(stored))) if chosen is None else chosen)
    assert (order.tolist(), starts.tolist()) == expected


def test_many_rows_by_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "_PIECE_ROWS", 100_000)
    chance = np.random.default_rng(7)
    stored = list(
        zip(
            *(
                chance.choice(values, 300_000).tolist()
                for values in (
                    [0, 1, 2],
                    range(20_000, 20_365),
                    range(20_000, 20_400),
                    [-1, 0, 1],
                    [10],
                    [0],
                    [0],
                    [-1, 2],
                )
            ),
            strict=True,
        )
    )
    desired = desired_of(stored)
    alone = grouped(desired)
    with ThreadPoolExecutor(4) as pool:
        together = grouped(desired, None, pool)
    expected = by_hand(stored, list(range(len(stored))))
    for order, starts in (alone, together):
        assert (order == expected[0]).all()
        assert starts.tolist() == expected[1]
