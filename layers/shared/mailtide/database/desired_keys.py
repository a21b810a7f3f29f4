"""Finding the desired row with a key: the parts of a key packed into one integer, sorted."""

import numpy as np

from mailtide.database.contact_index import contact_index
from mailtide.rules.columns import Desired, Int32, Int64


class Keys:
    """Finds a key among the desired rows: the parts of a key packed into one integer, sorted."""

    def __init__(self, desired: Desired, ids: Int64, max_bits: int = 62) -> None:
        """ids: contact ids, ascending. max_bits: of a packed key; with more, all but the contact is ranked first."""
        self._ids = ids
        self._campaigns = np.unique(desired.campaign[desired.campaign != 0])
        self._first_event = int(desired.event.min()) if len(desired) else 0
        last = int(desired.event.max()) if len(desired) else 0
        self._event_bits = (last - self._first_event).bit_length()
        self._campaign_bits = (len(self._campaigns) + 1).bit_length()
        tail = self._tail(desired.email_type, desired.event, self._rank(desired.campaign))
        self._tail_bits = len(desired.types).bit_length() + self._event_bits + self._campaign_bits
        self._tails: Int64 | None = None
        if len(ids).bit_length() + self._tail_bits > max_bits:
            self._tails, tail = np.unique(tail, return_inverse=True)
            self._tail_bits = len(self._tails).bit_length()
        packed = desired.contact.astype(np.int64) << self._tail_bits | tail
        self._order = None if bool((packed[1:] > packed[:-1]).all()) else np.argsort(packed, kind="stable")
        self._packed = packed if self._order is None else packed[self._order]

    def _rank(self, campaign: Int64) -> Int64:
        """1 and up for the campaigns of desired rows, 0 for none, -1 for others."""
        if not len(self._campaigns):
            return np.where(campaign == 0, 0, -1).astype(np.int64)
        at = np.minimum(np.searchsorted(self._campaigns, campaign), len(self._campaigns) - 1)
        return np.where(campaign == 0, 0, np.where(self._campaigns[at] == campaign, at + 1, -1)).astype(np.int64)

    def _tail(self, email_type: Int32, event: Int32, rank: Int64) -> Int64:
        packed = email_type.astype(np.int64) << self._event_bits | (event.astype(np.int64) - self._first_event)
        return packed << self._campaign_bits | rank

    def find(self, contact_id: Int64, email_type: Int32, event: Int32, campaign: Int64) -> Int32:
        """The index of the desired row with each key, -1 where there is none; shape (n,)."""
        return self.find_tails(contact_index(self._ids, contact_id), self.tails(email_type, event, campaign))

    def tails(self, email_type: Int32, event: Int32, campaign: Int64) -> Int64:
        """The keys but for the contact, packed; -1 for what no desired row has. Shape (n,)."""
        rank, offset = self._rank(campaign), event.astype(np.int64) - self._first_event
        possible = (email_type >= 0) & (rank >= 0) & (offset >= 0) & (offset < 1 << self._event_bits)
        tail = self._tail(email_type, event, rank)
        if self._tails is not None and len(self._tails):
            at = np.minimum(np.searchsorted(self._tails, tail), len(self._tails) - 1)
            possible &= self._tails[at] == tail
            tail = at
        return np.where(possible, tail, -1)

    def find_tails(self, contact: Int32, tail: Int64) -> Int32:
        """`find` with indexes of contacts, -1 for none, and `tails`."""
        if not len(self._packed):
            return np.full(len(contact), -1, np.int32)
        packed = contact.astype(np.int64) << self._tail_bits | tail
        at = np.minimum(np.searchsorted(self._packed, packed), len(self._packed) - 1)
        found = (contact >= 0) & (tail >= 0) & (self._packed[at] == packed)
        index = at if self._order is None else self._order[at]
        return np.where(found, index, -1).astype(np.int32)
