"""Planned rows that were read in runs, against the rows that should stand: most is judged once a run (spec §9)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from mailtide.database.desired_keys import Keys
from mailtide.database.read_history import PLANNED_STATUSES
from mailtide.database.standing import Standing
from mailtide.database.values import read_status
from mailtide.rules.columns import NO_CODE, Bool, Desired, Int32, Int64

_CHUNK_ROWS = 1 << 17
_UNKNOWN = -9


@dataclass(frozen=True, slots=True)
class MatchedRows:
    """Planned rows of the table: row id, the desired row with that key (-1 for none), and whether they are equal."""

    row_id: Int64
    match: Int32
    equal: Bool


def match_standing(standing: Standing, keys: Keys, desired: Desired, send_time: str, threads: int) -> list[MatchedRows]:
    """The planned rows among those that stand, ascending by row id."""
    matcher = _Matcher(standing, keys, desired, send_time)
    starts = range(0, len(standing.row_id), _CHUNK_ROWS)
    if threads == 1 or len(starts) == 1:
        return [matcher.match(start) for start in starts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(matcher.match, starts))


class _Matcher:
    """Brings the runs into the codes of the desired rows, then judges rows in chunks."""

    def __init__(self, standing: Standing, keys: Keys, desired: Desired, send_time: str) -> None:
        self._standing, self._keys, self._desired = standing, keys, desired
        runs, texts = standing.runs, standing.texts
        self._tail = keys.tails(_codes(texts, desired.types)[runs.email_type], runs.event, runs.campaign)
        statuses = [read_status(text) or "" for text in texts]
        self._status = _codes(statuses, list(PLANNED_STATUSES))[runs.status]
        self._reason = _codes(texts, desired.reasons)[runs.reason]
        self._email = _codes(texts, desired.templates)[runs.email_template]
        self._sms = _codes(texts, desired.templates)[runs.sms_template]
        # What no desired row can be equal to, whatever its key.
        self._possible = (_codes(texts, [send_time])[runs.time] == 0) & ~runs.no_priority

    def match(self, start: int) -> MatchedRows:
        """The planned rows among those from `start` on."""
        standing, desired = self._standing, self._desired
        rows = slice(start, start + _CHUNK_ROWS)
        row_id, contact, run = standing.row_id[rows], standing.contact[rows], standing.run[rows]
        planned = self._status[run] >= 0
        if not planned.all():
            row_id, contact, run = row_id[planned], contact[planned], run[planned]
        match = self._keys.find_tails(contact, self._tail[run])
        if not len(desired):
            return MatchedRows(row_id, match, np.zeros(len(match), np.bool_))
        at, runs = np.maximum(match, 0), standing.runs
        reason = desired.skip_reason[at]
        equal = (
            self._possible[run]
            & (runs.send[run] == desired.send[at])
            & (self._status[run] == (reason != NO_CODE))
            & (self._reason[run] == reason)
            & (runs.priority[run] == desired.priority[at])
            & (self._email[run] == desired.email_template[at])
            & (self._sms[run] == desired.sms_template[at])
        )
        return MatchedRows(row_id, match, equal)


def _codes(texts: list[str], wanted: list[str]) -> Int32:
    """The code in `wanted` of each text, _UNKNOWN where it has none, and one entry more: NO_CODE for NULL."""
    code = {name: index for index, name in enumerate(wanted)}
    # Indexed by -1 too, which is NULL, and by -2, which is what no code stands for.
    return np.array([*(code.get(text, _UNKNOWN) for text in texts), _UNKNOWN, NO_CODE], np.int32)
