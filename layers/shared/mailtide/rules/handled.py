"""Already handled (spec §4): candidates whose event history covers, and keys that other rows hold."""

from itertools import pairwise

import numpy as np

from mailtide.rules.columns import NO_DATE, Bool, HeldKeys, History, Int32, Int64, Related
from mailtide.rules.config import CAMPAIGN_PREFIX, Rules
from mailtide.rules.dates import pack, pack_start, plus_days
from mailtide.rules.sources import SourceTable

NEAR_DAYS = 45
_FAR_DAYS = 4_000_000

type _Groups = dict[tuple[int, int], Int64]


def _group(types: Int32, campaigns: Int64, keys: Int64, wanted: set[int]) -> _Groups:
    """Sorted keys by (type code, campaign) for the wanted type codes."""
    groups: _Groups = {}
    for code in wanted:
        rows = np.flatnonzero(types == code)
        if not len(rows):
            continue
        order = rows[np.argsort(campaigns[rows], kind="stable")]
        ids, starts = np.unique(campaigns[order], return_index=True)
        for campaign, part in zip(ids.tolist(), np.split(keys[order], starts[1:]), strict=True):
            groups[(code, campaign)] = np.sort(part)
    return groups


def _days_before_by_type(inputs: Related, rules: Rules) -> Int32:
    known = {CAMPAIGN_PREFIX + kind.name: kind.days_before_event for kind in inputs.campaign_types}
    known |= {"birthday": rules.birthday_days_before, "effective_date": rules.effective_date_days_before}
    days = [max(-_FAR_DAYS, min(known.get(name, 0), _FAR_DAYS)) for name in inputs.types]
    return np.array(days, np.int32)


def contains(keys: Int64, probes: Int64) -> Bool:
    """Which probes are among the sorted keys."""
    if not len(keys):
        return np.zeros(len(probes), np.bool_)
    places = np.searchsorted(keys, probes)
    places[places == len(keys)] = 0
    found: Bool = keys[places] == probes
    return found


def any_between(keys: Int64, low: Int64, high: Int64) -> Bool:
    """For which ranges low .. high, both ends included, one of the sorted keys lies inside."""
    found: Bool = np.searchsorted(keys, low, "left") < np.searchsorted(keys, high, "right")
    return found


class Handled:
    """Tells which candidates need no mail because of rows that the pass does not own."""

    def __init__(self, inputs: Related, rules: Rules, table: SourceTable) -> None:
        history, held = inputs.history, inputs.held
        wanted = set(table.type_code.tolist())
        self._table = table
        self._exact = self._group_rows(history, history.event, wanted)
        implied = np.where(history.event == NO_DATE, history.send, np.int32(NO_DATE))
        if len(inputs.types):
            implied = plus_days(implied, _days_before_by_type(inputs, rules)[history.email_type])
        self._near = self._group_rows(history, implied, wanted)
        self._held = self._group_rows(held, held.event, wanted)

    @staticmethod
    def _group_rows(table: History | HeldKeys, event: Int32, wanted: set[int]) -> _Groups:
        rows = np.flatnonzero(event != NO_DATE)
        keys = pack(table.contact[rows], event[rows])
        return _group(table.email_type[rows], table.campaign[rows], keys, wanted)

    def _part(self, groups: _Groups, group: tuple[int, int], contact: Int32) -> Int64 | None:
        keys = groups.get(group)
        if keys is None or not len(contact):
            return None
        low, high = np.searchsorted(keys, [pack_start(int(contact.min())), pack_start(int(contact.max()) + 1)])
        return keys[low:high] if low < high else None

    def of(self, source: int, contact: Int32, event: Int32) -> Bool:
        """Which candidates of one source are handled or have their key held; contact, event: shape (n,)."""
        code, campaign = int(self._table.type_code[source]), int(self._table.campaign[source])
        handled = np.zeros(len(contact), np.bool_)
        probes = pack(contact, event)
        for group in {(code, campaign), (code, 0)}:
            if (keys := self._part(self._exact, group, contact)) is not None:
                handled |= contains(keys, probes)
            if (keys := self._part(self._near, group, contact)) is not None:
                handled |= any_between(keys, probes - (NEAR_DAYS - 1), probes + (NEAR_DAYS - 1))
        if (keys := self._part(self._held, (code, campaign), contact)) is not None:
            handled |= contains(keys, probes)
        return handled

    def of_sections(self, source: Int32, contact: Int32, event: Int32) -> Bool:
        """Likewise for candidates of several sources, those of one source after the other; shape (n,)."""
        handled = np.zeros(len(source), np.bool_)
        edges = [0, *(np.flatnonzero(source[1:] != source[:-1]) + 1).tolist(), len(source)]
        for low, high in pairwise(edges) if len(source) else []:
            handled[low:high] = self.of(int(source[low]), contact[low:high], event[low:high])
        return handled
