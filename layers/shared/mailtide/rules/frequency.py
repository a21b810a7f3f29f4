"""Same day and frequency (spec §7), contact by contact.

Most contacts have nothing near anything else and are accepted at once; only the others are walked, all in step: the first
row of each, then the second of each, and so on.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mailtide.rules.assemble import Chunk
from mailtide.rules.candidates import Rows
from mailtide.rules.columns import NO_CODE, NO_DATE, Bool, Int32, Int64, Related
from mailtide.rules.config import Rules
from mailtide.rules.dates import pack, pack_start
from mailtide.rules.followups import is_followup
from mailtide.rules.sources import Names, SourceTable

MAX_PAIRS = 1_000_000
"""Pairs of near rows that are held at once: many campaigns on one day make pairs by the square of their number."""


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of rows of one contact that lie less than a period apart: `earlier` comes first in the walk."""

    earlier: Int64
    later: Int64


def _batches(contact: Int32) -> list[slice]:
    """Rows sorted by contact, cut between contacts so that each part has about MAX_PAIRS pairs, or one contact."""
    if not len(contact):
        return []
    starts = np.flatnonzero(np.concatenate(([True], contact[1:] != contact[:-1])))
    sizes = np.diff(np.append(starts, len(contact))).astype(np.int64)
    before = np.cumsum(sizes * (sizes - 1) // 2) // MAX_PAIRS
    edges = [0, *starts[1:][before[1:] != before[:-1]].tolist(), len(contact)]
    return [slice(low, high) for low, high in pairwise(edges)]


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
        for batch in _batches(rows.contact[walked]):
            part_of = walked[batch]
            reason[part_of] = self._walk(rows.contact[part_of], rows.source[part_of], keys[part_of])
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

    def _walk(self, contact: Int32, source: Int32, keys: Int64) -> Int32:
        """The reasons of rows sorted by contact and walking order."""
        count = len(contact)
        reach = self._period - 1
        starts = np.flatnonzero(np.concatenate(([True], contact[1:] != contact[:-1]))[:count])
        step = np.arange(count) - np.repeat(starts, np.diff(np.append(starts, count)))
        seen = np.searchsorted(self._history, keys + reach, "right") - np.searchsorted(
            self._history, keys - reach, "left"
        )
        pairs = self._pairs(keys)
        order = np.argsort(step[pairs.later], kind="stable")
        earlier, later = pairs.earlier[order], pairs.later[order]
        bounds = np.searchsorted(step[later], np.arange(int(step.max(initial=0)) + 2))
        by_step = np.argsort(step, kind="stable")
        row_bounds = np.searchsorted(step[by_step], np.arange(len(bounds)))
        reason = np.full(count, NO_CODE, np.int32)
        for level in range(len(bounds) - 1):
            near = slice(bounds[level], bounds[level + 1])
            accepted = reason[earlier[near]] == NO_CODE
            before, now = earlier[near][accepted], later[near][accepted]
            np.add.at(seen, now, 1)
            rows = by_step[row_bounds[level] : row_bounds[level + 1]]
            if self._most is not None:
                reason[rows[seen[rows] >= self._most]] = self._too_many
            same = keys[before] == keys[now]
            reason[now[same]] = self._same_day[source[before[same]]]
        return reason

    def _pairs(self, keys: Int64) -> _Pairs:
        order = np.argsort(keys, kind="stable")
        by_day = keys[order]
        earlier, later = [order[:0]], [order[:0]]
        for lag in range(1, len(keys)):
            near = np.flatnonzero(by_day[lag:] - by_day[:-lag] < self._period)
            if not len(near):
                break
            one, other = order[near], order[near + lag]
            earlier.append(np.minimum(one, other))
            later.append(np.maximum(one, other))
        return _Pairs(np.concatenate(earlier), np.concatenate(later))
