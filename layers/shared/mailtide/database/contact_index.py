"""From contact ids, as related rows have them, to indexes into the contacts."""

import numpy as np

from mailtide.rules.columns import Int32, Int64


def contact_index(ids: Int64, wanted: Int64) -> Int32:
    """The index of each wanted id in `ids`, -1 where there is no such contact. ids: strictly ascending, shape (n,)."""
    if not len(ids):
        return np.full(len(wanted), -1, np.int32)
    first, last = int(ids[0]), int(ids[-1])
    if last - first + 1 == len(ids):
        inside = (wanted >= first) & (wanted <= last)
        return np.where(inside, np.where(inside, wanted, first) - first, -1).astype(np.int32)
    at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[at] == wanted, at, -1).astype(np.int32)
