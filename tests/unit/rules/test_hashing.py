"""The hash: vectors worked out with Python's whole numbers."""

import numpy as np
import pytest

from mailtide.rules.hashing import mail_hash, type_crc

VECTORS = [
    (1, "birthday", 2026, 925585014926891276),
    (0, "aep", 2026, 17819073112375087656),
    (-1, "effective_date", 2025, 89119572125469980),
    (2**63 - 1, "campaign_é", 2100, 14181477514730559384),
    (-(2**63), "post_window", 1900, 11904740186674353462),
]


@pytest.mark.parametrize(("contact_id", "email_type", "year", "expected"), VECTORS)
def test_vector(contact_id: int, email_type: str, year: int, expected: int) -> None:
    found = mail_hash(
        np.array([contact_id], np.int64), np.array([type_crc(email_type)], np.uint64), np.array([year], np.int16)
    )
    assert found.tolist() == [expected]


def test_all_at_once_is_the_same_as_one_by_one() -> None:
    ids, types, years, expected = zip(*VECTORS, strict=True)
    crcs = np.array([type_crc(name) for name in types], np.uint64)
    assert mail_hash(np.array(ids, np.int64), crcs, np.array(years, np.int32)).tolist() == list(expected)
