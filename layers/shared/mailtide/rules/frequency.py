"""Same day and frequency (spec §7), contact by contact.

Most contacts have nothing near anything else and are accepted at once; only the others are walked, all in step: the first
row of each, then the second of each, and so on.
"""

from collections.abc import Iterator

import numpy as np

from mailtide.rules.candidates import Chunk, Rows
from mailtide.rules.columns import NO_CODE, NO_DATE, Bool, Int32, Int64, Related
from mailtide.rules.config import Rules
from mailtide.rules.dates import pack, pack_start
from mailtide.rules.followups import is_followup
from mailtide.rules.sources import Names, SourceTable

_CELLS = 1 << 21
"""Accepted mails that are held at once, contacts by mails: one contact may have very many of them."""
_FAR = -(1 << 62)
"""A day that is near no other."""


def _groups(contact: Int32) -> Iterator[tuple[Int64, Int64]]:
    """First row and number of rows of contacts with about as many each; rows sorted by contact."""
    starts = np.flatnonzero(np.concatenate(([True], contact[1:] != contact[:-1]))[: len(contact)])
    sizes = np.diff(np.append(starts, len(contact)))
    doublings = np.frexp(sizes - 1)[1]
    for doubling in np.flatnonzero(np.bincount(doublings)).tolist():
        alike = np.flatnonzero(doublings == doubling)
        at_once = max(1, _CELLS >> doubling)
        for first in range(0, len(alike), at_once):
            some = alike[first : first + at_once]
            yield starts[some], sizes[some]


class FrequencyRule:
    """Decides for chunks of contacts which rows are accepted."""

    def __init__(self, inputs: Related, rules: Rules, table: SourceTable, names: Names) -> None:
        self._table = table
        self._period, self._most = rules.period_days, rules.max_emails_per_period
        self._same_day = np.array(
            [names.reasons.code(f"same_day:{source.email_type}") for source in table.sources], np.int32
        )
        self._too_many = names.reasons.code("frequency_limit")
        history = inputs.history
        counted = np.flatnonzero((history.send != NO_DATE) & ~is_followup(names.types.texts)[history.email_type])
        self._history = np.sort(pack(history.contact[counted], history.send[counted]))

    def judge(self, chunk: Chunk) -> None:
        """Writes into the chunk why each of its unskipped rows is skipped now."""
        free = np.flatnonzero(chunk.reason == NO_CODE).astype(np.int32)
        chunk.reason[free] = self.reasons(chunk.rows[free], chunk.send[free])

    def reasons(self, rows: Rows, send: Int32) -> Int32:
        """Why each row is skipped, NO_CODE where it is accepted.

        rows: all unskipped rows but follow-ups of a chunk of contacts, in any order; send: their dates; shape (n,).
        """
        reason = np.full(len(rows), NO_CODE, np.int32)
        if not len(rows):
            return reason
        keys = pack(rows.contact, send)
        walked = np.flatnonzero(self._may_clash(rows.contact, keys))
        table, part = self._table, rows[walked.astype(np.int32)]
        order = np.lexsort(
            (
                part.event,
                table.campaign[part.source],
                send[walked],
                table.walk_rank[part.source],
                table.priority[part.source],
                part.contact,
            )
        )
        walked = walked[order]
        contact, source, keys = rows.contact[walked], rows.source[walked], keys[walked]
        for starts, sizes in _groups(contact):
            for place, found in self._walk(source, keys, starts, sizes):
                reason[walked[place]] = found
        return reason

    def _may_clash(self, contact: Int32, keys: Int64) -> Bool:
        """Which rows belong to a contact that has too many mails near one another, or perhaps has."""
        first = int(contact.min())
        # Merging the runs that the sources are is much faster than sorting anew.
        everything = np.sort(np.concatenate((keys, self._history_of(first, int(contact.max())))), kind="stable")
        clash = np.zeros(int(contact.max()) - first + 1, np.bool_)
        same = everything[1:] == everything[:-1]
        clash[(everything[1:][same] >> 22) - first] = True
        if self._most is not None and self._most < len(everything):
            near = everything[self._most :] - everything[: -self._most] <= 2 * self._period - 2
            clash[(everything[self._most :][near] >> 22) - first] = True
        return clash[contact - first]

    def _history_of(self, first: int, last: int) -> Int64:
        low, high = np.searchsorted(self._history, [pack_start(first), pack_start(last + 1)])
        return self._history[low:high]

    def _walk(self, source: Int32, keys: Int64, starts: Int64, sizes: Int64) -> Iterator[tuple[Int64, Int32]]:
        """Rows and their reasons, step by step: the first row of each contact, the second of each, and so on."""
        accepted = np.full((len(starts), 2), _FAR, np.int64)
        sources = np.zeros(accepted.shape, np.int32)
        count = np.zeros(len(starts), np.int64)
        for step in range(int(sizes.max())):
            who = np.flatnonzero(sizes > step)
            row = starts[who] + step
            away = np.abs(accepted[who] - keys[row, None])
            reason = np.full(len(who), NO_CODE, np.int32)
            if self._most is not None:
                near = np.count_nonzero(away < self._period, axis=1) + self._handed_over(keys[row])
                reason[near >= self._most] = self._too_many
            same, place = np.nonzero(away == 0)
            reason[same] = self._same_day[sources[who[same], place]]
            yield row, reason
            taken = reason == NO_CODE
            who, row = who[taken], row[taken]
            if accepted.shape[1] == int(count.max()):
                more = ((0, 0), (0, accepted.shape[1]))
                accepted, sources = np.pad(accepted, more, constant_values=_FAR), np.pad(sources, more)
            accepted[who, count[who]], sources[who, count[who]] = keys[row], source[row]
            count[who] += 1

    def _handed_over(self, keys: Int64) -> Int64:
        """How many mails of the history lie less than a period from each."""
        reach = self._period - 1
        after = np.searchsorted(self._history, keys + reach, "right")
        return after - np.searchsorted(self._history, keys - reach, "left")
