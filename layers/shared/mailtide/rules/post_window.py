"""The post-window mail (spec §5): one at most per contact, after a window that swallowed a mail."""

import numpy as np

from mailtide.rules.candidates import Rows
from mailtide.rules.columns import Int32
from mailtide.rules.dates import LAST_DAY, pack, unpack
from mailtide.rules.distinct import distinct
from mailtide.rules.sources import POST_WINDOW
from mailtide.rules.windows import StateWindows

MAX_WAIT_DAYS = 366


def post_window_rows(
    windows: StateWindows, contact: Int32, end: Int32, as_of: int, spread_days: int
) -> tuple[Rows, Int32, int]:
    """The post-window candidates, their send dates, and how many contacts have none because the wait is too long.

    contact, end: the named occurrences of dated windows that swallowed a mail, by their last day, in any order, repeats
    allowed; shape (n,).
    """
    contact, end = unpack(distinct(pack(contact, end)))
    oldest = as_of - spread_days
    free = windows.first_free(contact, end + 1, np.full(len(contact), oldest, np.int32))
    recent = free >= oldest
    contact, end = contact[recent], end[recent]
    first = np.concatenate(([True], contact[1:] != contact[:-1]))[: len(contact)]
    contact, end = contact[first], end[first]
    send = windows.first_free(contact, np.maximum(end + 1, as_of), end + MAX_WAIT_DAYS + 1)
    reached = (send <= end + MAX_WAIT_DAYS) & (send <= LAST_DAY)
    source = np.full(np.count_nonzero(reached), POST_WINDOW, np.int32)
    return Rows(contact[reached], source, end[reached]), send[reached], int(np.count_nonzero(~reached))
