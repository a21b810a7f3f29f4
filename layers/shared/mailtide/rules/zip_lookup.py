"""The array form of the packaged ZIP table."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from mailtide.rules.columns import NO_STATE, UInt8
from mailtide.rules.zip_table import ZIP_COUNT, packed_states


@cache
def _table() -> UInt8:
    states, known = (np.frombuffer(part, np.uint8) for part in packed_states())
    is_known = np.unpackbits(known, count=ZIP_COUNT, bitorder="little").view(np.bool_)
    return np.where(is_known, states, np.uint8(NO_STATE))


def state_of_zip(zips: NDArray[np.integer]) -> UInt8:
    """The state of each five-digit ZIP, as an index into STATES; NO_STATE where there is none.

    zips: any integer dtype and shape; a value outside 0..99999 (-1 for a contact without a ZIP) has no state.
    """
    inside = (zips >= 0) & (zips < ZIP_COUNT)
    states: UInt8 = np.where(inside, _table()[np.where(inside, zips, 0)], NO_STATE).astype(np.uint8)
    return states
