"""Puts the rows of all chunks and the follow-ups into the order and the columns of the result."""

from concurrent.futures import Executor

import numpy as np

from mailtide.rules.candidates import Chunk
from mailtide.rules.columns import NO_CODE, Bool, Codes, Desired, Int32, Int64, Numbers
from mailtide.rules.dates import FIRST_DAY
from mailtide.rules.followups import Followups
from mailtide.rules.sources import Names, SourceTable

_DAY_BITS = 22
_NARROW = 1 << 30


def _code_type(names: list[str]) -> type[np.int16 | np.int32]:
    return np.int16 if len(names) < np.iinfo(np.int16).max else np.int32


def _number_type(*columns: Int64) -> type[np.int32 | np.int64]:
    fits = all(len(column) == 0 or max(-int(column.min()), int(column.max())) < _NARROW for column in columns)
    return np.int32 if fits else np.int64


def _empty(size: int, table: SourceTable, followups: Followups, names: Names) -> Desired:
    """Columns for so many rows, as narrow as what they will hold: at millions of rows memory is time."""
    template = _code_type(names.templates.texts)
    return Desired(
        contact=np.empty(size, np.int32),
        email_type=np.empty(size, _code_type(names.types.texts)),
        event=np.empty(size, np.int32),
        send=np.empty(size, np.int32),
        skip_reason=np.empty(size, _code_type(names.reasons.texts)),
        priority=np.empty(size, _number_type(table.priority, followups.priority)),
        campaign=np.empty(size, _number_type(table.campaign, followups.campaign)),
        email_template=np.empty(size, template),
        sms_template=np.empty(size, template),
        types=names.types.texts,
        reasons=names.reasons.texts,
        templates=names.templates.texts,
    )


class _Writer:
    """Writes the sorted rows of one chunk after another into their place of the result.

    The follow-ups count as further sources, those of FOLLOWUP_TYPES; only their priority and campaign are each row's own.
    """

    def __init__(self, result: Desired, table: SourceTable, names: Names, has_phone: Bool) -> None:
        self._result, self._has_phone, self._sources = result, has_phone, len(table.sources)
        kinds = len(names.followup_types)
        ranks = names.types.ranks()
        self._type_bits = len(ranks).bit_length()
        types = np.append(table.type_code, np.array(names.followup_types, np.int32))
        self._rank = ranks[types].astype(np.int64)
        self._campaign = np.append(table.campaign, np.zeros(kinds, np.int64))
        columns: list[tuple[Codes | Numbers, Int32 | Int64]] = [
            (result.email_type, types),
            (result.email_template, np.append(table.email_template, np.array(names.followup_email, np.int32))),
            (result.sms_template, np.append(table.sms_template, np.array(names.followup_sms, np.int32))),
            (result.priority, np.append(table.priority, np.zeros(kinds, np.int64))),
            (result.campaign, self._campaign),
        ]
        self._columns = [(column, of_source.astype(column.dtype)) for column, of_source in columns]

    def write(self, chunk: Chunk, followups: Followups, start: int) -> None:
        rows, result = chunk.rows, self._result
        contact = np.concatenate((rows.contact, followups.contact))
        source = np.concatenate((rows.source, followups.kind + np.int32(self._sources)))
        event = np.concatenate((rows.event, followups.event))
        order = self._order(contact, source, event, followups)
        place = slice(start, start + len(order))
        contact.take(order, out=result.contact[place], mode="clip")
        event.take(order, out=result.event[place], mode="clip")
        np.concatenate((chunk.send, followups.send)).take(order, out=result.send[place], mode="clip")
        reason = np.concatenate((chunk.reason, followups.reason), dtype=result.skip_reason.dtype, casting="same_kind")
        reason.take(order, out=result.skip_reason[place], mode="clip")
        source = source.take(order)
        for column, of_source in self._columns:
            of_source.take(source, out=column[place], mode="clip")
        result.sms_template[place][~self._has_phone[result.contact[place]]] = NO_CODE
        if len(followups):
            own = np.flatnonzero(source >= self._sources)
            which = order[own] - len(rows)
            result.priority[place][own] = followups.priority[which]
            result.campaign[place][own] = followups.campaign[which]

    def _order(self, contact: Int32, source: Int32, event: Int32, followups: Followups) -> Int64:
        first = contact.min(initial=np.iinfo(np.int32).max)
        keys = (contact - first).astype(np.int64) << self._type_bits
        keys |= self._rank.take(source)
        keys <<= _DAY_BITS
        keys |= event - FIRST_DAY
        if self._campaign.any() or followups.campaign.any():
            campaign = self._campaign.take(source)
            campaign[len(campaign) - len(followups) :] = followups.campaign
            if (campaign != campaign[:1]).any():
                return np.lexsort((campaign, keys))
        # Each source's rows ascend: merging such runs is much faster than sorting anew.
        return np.argsort(keys, kind="stable")


def assemble(
    chunks: list[Chunk], followups: Followups, table: SourceTable, names: Names, has_phone: Bool, pool: Executor
) -> Desired:
    """The result: all rows by (contact, email_type name, event, campaign).

    chunks: ascending and disjoint in their contacts; followups: ascending by contact; has_phone: of each contact.
    """
    parts = []
    low = 0
    for chunk in chunks:
        high = max(low, int(np.searchsorted(followups.contact, chunk.last_contact, "right")))
        parts.append(followups[np.arange(low, high)])
        low = high
    sizes = [len(chunk.rows) + len(part) for chunk, part in zip(chunks, parts, strict=True)]
    starts = np.cumsum([0, *sizes]).tolist()
    result = _empty(starts[-1], table, followups, names)
    writer = _Writer(result, table, names, has_phone)
    list(pool.map(writer.write, chunks, parts, starts[:-1]))
    return result
