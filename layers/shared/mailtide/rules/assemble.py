"""Puts the rows of all chunks and the follow-ups into the order and the columns of the result."""

from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from mailtide.rules.candidates import Rows
from mailtide.rules.columns import NO_CODE, Bool, Desired, Int32, Int64
from mailtide.rules.dates import FIRST_DAY
from mailtide.rules.followups import Followups
from mailtide.rules.sources import Names, SourceTable

_DAY_BITS = 22


@dataclass(slots=True)
class Chunk:
    """The rows of some contacts: what each is, when it goes out, and why not."""

    rows: Rows
    send: Int32
    reason: Int32
    last_contact: int
    waits_too_long: int


def _empty(size: int, names: Names) -> Desired:
    return Desired(
        contact=np.empty(size, np.int32),
        email_type=np.empty(size, np.int32),
        event=np.empty(size, np.int32),
        send=np.empty(size, np.int32),
        skip_reason=np.empty(size, np.int32),
        priority=np.empty(size, np.int64),
        campaign=np.empty(size, np.int64),
        email_template=np.empty(size, np.int32),
        sms_template=np.empty(size, np.int32),
        types=names.types.texts,
        reasons=names.reasons.texts,
        templates=names.templates.texts,
    )


class _Writer:
    """Writes the sorted rows of one chunk after another into their place of the result."""

    def __init__(self, result: Desired, table: SourceTable, names: Names, has_phone: Bool) -> None:
        self._result, self._table, self._has_phone = result, table, has_phone
        self._ranks = names.types.ranks()
        self._followup_type = np.array(names.followup_types, np.int32)
        self._followup_email = np.array(names.followup_email, np.int32)
        self._followup_sms = np.array(names.followup_sms, np.int32)

    def write(self, chunk: Chunk, followups: Followups, start: int) -> None:
        table, rows, result = self._table, chunk.rows, self._result
        contact = np.concatenate((rows.contact, followups.contact))
        email_type = np.concatenate((table.type_code[rows.source], self._followup_type[followups.kind]))
        event = np.concatenate((rows.event, followups.event))
        campaign = np.concatenate((table.campaign[rows.source], followups.campaign))
        order = self._order(contact, email_type, event, campaign)
        place = slice(start, start + len(order))
        contact = contact[order]
        result.contact[place] = contact
        result.email_type[place] = email_type[order]
        result.event[place] = event[order]
        result.campaign[place] = campaign[order]
        result.send[place] = np.concatenate((chunk.send, followups.send))[order]
        result.skip_reason[place] = np.concatenate((chunk.reason, followups.reason))[order]
        result.priority[place] = np.concatenate((table.priority[rows.source], followups.priority))[order]
        email = np.concatenate((table.email_template[rows.source], self._followup_email[followups.kind]))[order]
        sms = np.concatenate((table.sms_template[rows.source], self._followup_sms[followups.kind]))[order]
        result.email_template[place] = email
        result.sms_template[place] = np.where(self._has_phone[contact], sms, NO_CODE)

    def _order(self, contact: Int32, email_type: Int32, event: Int32, campaign: Int64) -> Int64:
        first = contact.min(initial=np.iinfo(np.int32).max)
        type_bits = len(self._ranks).bit_length()
        keys = (contact - first).astype(np.int64) << type_bits | self._ranks[email_type]
        keys = keys << _DAY_BITS | (event - FIRST_DAY)
        if np.any(campaign != campaign[:1]):
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
    result = _empty(starts[-1], names)
    writer = _Writer(result, table, names, has_phone)
    list(pool.map(writer.write, chunks, parts, starts[:-1]))
    return result
