"""Keys of desired rows are found among those of their contact, in whatever order the rows are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mailtide.database.desired_keys import Keys
from mailtide.rules.columns import NO_DATE, Desired

IDS = np.array([-(2**63), -1, 0, 5, 2**63 - 1], np.int64)

keys = st.tuples(
    st.integers(0, len(IDS) - 1),
    st.integers(0, 2),
    st.sampled_from([-25567, 0, 20000, 47846]),
    st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)]),
)


def desired(rows: list[tuple[int, int, int, int]]) -> Desired:
    contact, kind, event, campaign = ([row[column] for row in rows] for column in range(4))
    nothing = np.zeros(len(rows), np.int32)
    return Desired(
        contact=np.array(contact, np.int32),
        email_type=np.array(kind, np.int32),
        event=np.array(event, np.int32),
        send=nothing,
        skip_reason=nothing,
        priority=nothing.astype(np.int64),
        campaign=np.array(campaign, np.int64),
        email_template=nothing,
        sms_template=nothing,
        types=["a", "b", "c"],
        reasons=[],
        templates=[],
    )


@given(st.lists(keys, unique=True, max_size=20), st.lists(keys, max_size=10))
def test_find(rows: list[tuple[int, int, int, int]], others: list[tuple[int, int, int, int]]) -> None:
    wanted = [*rows, *others]
    found = Keys(desired(rows), IDS).find(
        np.array([IDS[row[0]] for row in wanted], np.int64),
        np.array([row[1] for row in wanted], np.int32),
        np.array([row[2] for row in wanted], np.int32),
        np.array([row[3] for row in wanted], np.int64),
    )
    assert found.tolist() == [rows.index(row) if row in rows else -1 for row in wanted]


def test_what_no_key_has_is_not_found() -> None:
    sought = Keys(desired([(2, 1, 20000, 7), (3, 0, 0, 0)]), IDS)
    cases = [
        (0, 1, 20000, 8),
        (0, -1, 20000, 7),
        (0, 1, NO_DATE, 7),
        (1, 1, 20000, 7),
        (0, 2, 20000, 7),
        (0, 1, 20000, 7),
    ]
    columns = [np.array(column) for column in zip(*cases, strict=True)]
    found = sought.find(columns[0], columns[1].astype(np.int32), columns[2].astype(np.int32), columns[3])
    assert found.tolist() == [-1, -1, -1, -1, -1, 0]
