"""A standing row finds the desired row of its key, and is equal to it in all else, exactly as columns say."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.database.desired_words import RowColumns, words_of
from mailtide.database.differences import Differences, MatchedRows, Tally, differences_of_twins
from mailtide.rules.columns import NO_DATE, Desired

CONTACTS = 6
CAMPAIGNS = [0, 0, 7, -1, 2**63 - 1, -(2**63)]

keys = st.tuples(st.integers(0, CONTACTS - 1), st.integers(0, 2), st.sampled_from(CAMPAIGNS))
details = st.tuples(
    st.sampled_from([20_000, 20_001, 20_500]), st.sampled_from([20_000, 20_003]), st.integers(-1, 2),
    # Words of up to 32 bits, of exactly 32, and of more.
    st.sampled_from([10, 3, -5, 2**18, 2**19, 2**24]), st.integers(-1, 1), st.integers(-1, 1),
)  # fmt: skip
others = st.tuples(
    st.integers(0, CONTACTS - 1), st.integers(-1, 3), st.sampled_from([*CAMPAIGNS, 8]),
    st.sampled_from([20_000, 20_001, 20_500, 20_501, 0, NO_DATE]), st.sampled_from([20_000, 20_003, 20_001, NO_DATE]),
    st.integers(-2, 3), st.sampled_from([10, 3, -5, 4, 2**24, 2**63 - 1, -(2**63)]), st.integers(-2, 2), st.integers(-2, 2),
)  # fmt: skip


def desired_of(rows: Sequence[tuple[int, ...]]) -> Desired:
    columns = [np.array([row[place] for row in rows], np.int64) for place in range(9)]
    contact, kind, campaign, event, send, reason, priority, email, sms = columns
    return Desired(
        contact=contact.astype(np.int32), email_type=kind.astype(np.int32), event=event.astype(np.int32),
        send=send.astype(np.int32), skip_reason=reason.astype(np.int32), priority=priority, campaign=campaign,
        email_template=email.astype(np.int32), sms_template=sms.astype(np.int32), types=["a", "b", "c", "d"],
        reasons=["x", "y", "z"], templates=["t", "u"],
    )  # fmt: skip


@given(st.dictionaries(keys, details, min_size=1, max_size=15), st.lists(others, max_size=15), st.data())
def test_one_look_says_all(
    wanted: dict[tuple[int, int, int], tuple[int, ...]], strange: list[tuple[int, ...]], data: st.DataObject
) -> None:
    rows = sorted((*key, *detail) for key, detail in wanted.items())
    words = words_of(desired_of(rows), CONTACTS, data.draw(st.sampled_from([1, 3])))
    assert words is not None
    standing = [*rows, *((*row[:3], 20_500, *row[4:]) for row in rows), *strange]
    found = desired_of(standing)
    columns = RowColumns(
        email_type=found.email_type, campaign=found.campaign, event=found.event, send=found.send,
        reason=found.skip_reason, priority=found.priority, email_template=found.email_template,
        sms_template=found.sms_template,
    )  # fmt: skip
    possible = np.array(data.draw(st.lists(st.booleans(), min_size=len(standing), max_size=len(standing))), np.bool_)
    first, word = words.first_place(columns), words.words(columns, possible)
    by_key = {row[:4]: number for number, row in enumerate(rows)}
    for number, row in enumerate(standing):
        place = -1 if first[number] < 0 else int(words.place[first[number] + row[0]])
        same_key = place >= 0 and int(words.word[place]) >> words.detail_bits == int(word[number]) >> words.detail_bits
        assert (place if same_key else -1) == by_key.get(row[:4], -1)
        equal = same_key and words.word[place] == word[number]
        assert equal == (row in rows and bool(possible[number]))


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(0, 0, 0, 20_000, 1, 0, 1, 0, 0), (0, 0, 0, 20_001, 1, 0, 1, 0, 0)],
        [(0, 0, 0, 1, 1, 0, -(2**63), 0, 0), (1, 0, 0, 2, 1, 0, 2**63 - 1, 0, 0)],
    ],
    ids=["none", "two events", "wide priorities"],
)
def test_what_words_cannot_tell_is_left_to_keys(rows: list[tuple[int, ...]]) -> None:
    assert words_of(desired_of(rows), CONTACTS, 1) is None


def test_many_campaigns_of_few_contacts_take_no_room() -> None:
    rows = [(contact, 0, contact + 1, 20_000, 1, 0, 1, 0, 0) for contact in range(1_000)]
    assert words_of(desired_of(rows), 1_000, 1) is None


@given(st.lists(st.tuples(st.integers(-1, 9), st.booleans()), max_size=14), st.lists(st.integers(0, 14), max_size=3))
def test_twins_make_no_difference_to_the_rest(rows: list[tuple[int, bool]], cuts: list[int]) -> None:
    row_id = np.arange(len(rows), dtype=np.int64) * 3
    match = np.array([place for place, _ in rows], np.int32)
    equal = np.array([equal and place >= 0 for place, equal in rows], np.bool_)
    pieces = [np.split(column, sorted(cuts)) for column in (row_id, match, equal)]
    parts = [MatchedRows(*piece) for piece in zip(*pieces, strict=True)]
    tally = Tally(10)
    for part in parts[::-1]:
        tally.add(part)
    found, exact = tally.differences(), differences_of_twins(parts[::-1], 10)
    matched = [place for place, _ in rows if place >= 0]
    # Each row that stays, comes or goes is named, and the first of twins stays.
    owners = {place: number for number, (place, _) in reversed(list(enumerate(rows))) if place >= 0}
    assert exact.insert.tolist() == [place for place in range(10) if place not in owners]
    assert exact.delete.tolist() == [3 * n for n, (place, _) in enumerate(rows) if owners.get(place) != n]
    assert exact.unchanged == sum(equal[number] for number in owners.values())
    assert (found is None) == (len(set(matched)) < len(matched))
    if found is not None:
        assert _lists(found) == _lists(exact)


def _lists(found: Differences) -> list[object]:
    arrays = (found.insert, found.update_row, found.update_to, found.delete)
    return [*(array.tolist() for array in arrays), found.unchanged]
