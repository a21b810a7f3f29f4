"""Planned rows that were read in runs, against the rows that should stand: most is judged once a run (spec §9)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mailtide.database.desired_keys import Keys
from mailtide.database.desired_words import RowColumns, Words, all_done, words_of
from mailtide.database.differences import MatchedRows
from mailtide.database.read_history import PLANNED_STATUSES
from mailtide.database.standing import Standing, StandingRows
from mailtide.database.values import read_status
from mailtide.rules.columns import NO_CODE, Desired, Int32

_UNKNOWN = -9


def match_standing(
    standing: Standing,
    keys: Callable[[], Keys],
    desired: Desired,
    contacts: int,
    send_time: str,
    threads: int,
    take: Callable[[MatchedRows], None],
) -> None:
    """Hand over the planned rows among those that stand, part by part, from several threads.

    contacts: how many; keys: asked only where words fail.
    """
    words = words_of(desired, contacts, threads)
    runs = _Runs(standing, desired, send_time)
    match = _ByWord(runs, words).match if words else _ByKey(runs, keys(), desired).match
    if threads == 1 or len(standing.parts) == 1:
        for part in standing.parts:
            take(match(part))
    else:
        with ThreadPoolExecutor(threads) as pool:
            all_done(pool.map(lambda part: take(match(part)), standing.parts))


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

    def planned(self, part: StandingRows) -> StandingRows:
        """The planned rows of a part."""
        planned = self.is_planned[part.run]
        return part if planned.all() else part[planned]


class _ByWord:
    """Judges rows by one look at the word of the desired row in their place."""

    def __init__(self, runs: _Runs, words: Words) -> None:
        self._runs, self._words = runs, words
        self._first = words.first_place(runs.columns)
        self._word = words.words(runs.columns, runs.is_possible)

    def match(self, part: StandingRows) -> MatchedRows:
        """The planned rows of a part."""
        words, rows = self._words, self._runs.planned(part)
        first = self._first[rows.run]
        known = (first >= 0) & (rows.contact >= 0)
        place = first + rows.contact
        match = words.place.take(place if known.all() else np.where(known, place, 0))
        known &= match >= 0
        differs = words.word.take(match, mode="wrap") ^ self._word[rows.run]
        known &= differs >> words.detail_bits == 0
        return MatchedRows(rows.row_id, np.where(known, match, np.int32(-1)), known & (differs == 0))


class _ByKey:
    """Judges rows by their keys: each finds its own among the desired rows of its contact."""

    def __init__(self, runs: _Runs, keys: Keys, desired: Desired) -> None:
        self._runs, self._keys, self._desired = runs, keys, desired
        columns = runs.columns
        self._tail = keys.tails(columns.email_type, columns.event, columns.campaign)

    def match(self, part: StandingRows) -> MatchedRows:
        """The planned rows of a part."""
        columns, desired, rows = self._runs.columns, self._desired, self._runs.planned(part)
        run = rows.run
        match = self._keys.find_tails(rows.contact, self._tail[run])
        if not len(desired):
            return MatchedRows(rows.row_id, match, np.zeros(len(match), np.bool_))
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
        return MatchedRows(rows.row_id, match, equal)


def _codes(texts: list[str], wanted: list[str]) -> Int32:
    """The code in `wanted` of each text, _UNKNOWN where it has none, and one entry more: NO_CODE for NULL."""
    code = {name: index for index, name in enumerate(wanted)}
    # Indexed by -1 too, which is NULL, and by -2, which is what no code stands for.
    return np.array([*(code.get(text, _UNKNOWN) for text in texts), _UNKNOWN, NO_CODE], np.int32)
