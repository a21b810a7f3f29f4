"""Planned rows that were read in runs, against the rows that should stand: most is judged once a run (spec §9)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from mailtide.database.desired_keys import Keys
from mailtide.database.desired_words import RowColumns, Words, words_of
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


def match_standing(
    standing: Standing, keys: Callable[[], Keys], desired: Desired, contacts: int, send_time: str, threads: int
) -> list[MatchedRows]:
    """The planned rows among those that stand, ascending by row id. contacts: how many; keys: asked only where words fail."""
    words = words_of(desired, contacts, threads)
    runs = _Runs(standing, desired, send_time)
    match = _ByWord(standing, runs, words).match if words else _ByKey(standing, runs, keys(), desired).match
    starts = range(0, len(standing.row_id), _CHUNK_ROWS)
    if threads == 1 or len(starts) == 1:
        return [match(start) for start in starts]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(match, starts))


class _Runs:
    """The runs in the codes of the desired rows."""

    def __init__(self, standing: Standing, desired: Desired, send_time: str) -> None:
        runs, texts = standing.runs, standing.texts
        self.columns = RowColumns(
            email_type=_codes(texts, desired.types)[runs.email_type],
            campaign=runs.campaign,
            event=runs.event,
            send=runs.send,
            reason=_codes(texts, desired.reasons)[runs.reason],
            priority=runs.priority,
            email_template=_codes(texts, desired.templates)[runs.email_template],
            sms_template=_codes(texts, desired.templates)[runs.sms_template],
        )
        statuses = [read_status(text) or "" for text in texts]
        status = _codes(statuses, list(PLANNED_STATUSES))[runs.status]
        self.is_planned = status >= 0
        # What no desired row can be equal to, whatever its key.
        self.is_possible = (
            (_codes(texts, [send_time])[runs.time] == 0)
            & ~runs.no_priority
            & (status == (self.columns.reason != NO_CODE))
        )

    def planned(self, standing: Standing, start: int) -> tuple[Int64, Int32, Int32]:
        """Row id, contact and run of the planned rows among those from `start` on."""
        rows = slice(start, start + _CHUNK_ROWS)
        row_id, contact, run = standing.row_id[rows], standing.contact[rows], standing.run[rows]
        planned = self.is_planned[run]
        return (row_id, contact, run) if planned.all() else (row_id[planned], contact[planned], run[planned])


class _ByWord:
    """Judges rows in chunks by one look at the word of the desired row in their place."""

    def __init__(self, standing: Standing, runs: _Runs, words: Words) -> None:
        self._standing, self._runs, self._words = standing, runs, words
        self._first = words.first_place(runs.columns)
        self._word = words.words(runs.columns, runs.is_possible)

    def match(self, start: int) -> MatchedRows:
        """The planned rows among those from `start` on."""
        words = self._words
        row_id, contact, run = self._runs.planned(self._standing, start)
        first = self._first[run]
        known = (first >= 0) & (contact >= 0)
        place = first + contact
        match = words.place.take(place if known.all() else np.where(known, place, 0))
        known &= match >= 0
        differs = words.word.take(match, mode="wrap") ^ self._word[run]
        known &= differs >> words.detail_bits == 0
        return MatchedRows(row_id, np.where(known, match, np.int32(-1)), known & (differs == 0))


class _ByKey:
    """Judges rows in chunks: each finds its key among the desired rows of its contact."""

    def __init__(self, standing: Standing, runs: _Runs, keys: Keys, desired: Desired) -> None:
        self._standing, self._runs, self._keys, self._desired = standing, runs, keys, desired
        columns = runs.columns
        self._tail = keys.tails(columns.email_type, columns.event, columns.campaign)

    def match(self, start: int) -> MatchedRows:
        """The planned rows among those from `start` on."""
        columns, desired = self._runs.columns, self._desired
        row_id, contact, run = self._runs.planned(self._standing, start)
        match = self._keys.find_tails(contact, self._tail[run])
        if not len(desired):
            return MatchedRows(row_id, match, np.zeros(len(match), np.bool_))
        at = np.maximum(match, 0)
        equal = (
            self._runs.is_possible[run]
            & (match >= 0)
            & (columns.send[run] == desired.send[at])
            & (columns.reason[run] == desired.skip_reason[at])
            & (columns.priority[run] == desired.priority[at])
            & (columns.email_template[run] == desired.email_template[at])
            & (columns.sms_template[run] == desired.sms_template[at])
        )
        return MatchedRows(row_id, match, equal)


def _codes(texts: list[str], wanted: list[str]) -> Int32:
    """The code in `wanted` of each text, _UNKNOWN where it has none, and one entry more: NO_CODE for NULL."""
    code = {name: index for index, name in enumerate(wanted)}
    # Indexed by -1 too, which is NULL, and by -2, which is what no code stands for.
    return np.array([*(code.get(text, _UNKNOWN) for text in texts), _UNKNOWN, NO_CODE], np.int32)
