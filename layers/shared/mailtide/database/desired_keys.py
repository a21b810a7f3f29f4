"""Finding the desired row with a key: contacts by place, and the rest of a key packed into one integer."""

import numpy as np

from mailtide.database.contact_index import contact_index
from mailtide.rules.columns import Codes, Desired, Int32, Int64, Numbers
from mailtide.rules.distinct import distinct


class Keys:
    """Finds a key among the desired rows."""

    def __init__(self, desired: Desired, ids: Int64) -> None:
        """ids: contact ids, ascending."""
        self._ids = ids
        self._campaigns = distinct(desired.campaign[desired.campaign != 0])
        # In the order of the desired rows, so that they need no sorting.
        self._type_rank = np.argsort(np.argsort(np.array(desired.types, object), kind="stable")).astype(np.int32)
        self._first_event = int(desired.event.min()) if len(desired) else 0
        last = int(desired.event.max()) if len(desired) else 0
        self._event_bits = (last - self._first_event).bit_length()
        self._campaign_bits = len(self._campaigns).bit_length()
        bits = len(desired.types).bit_length() + self._event_bits + self._campaign_bits
        self._is_narrow = bits < np.iinfo(np.int32).bits
        tail = self._tail(desired.email_type, desired.event)
        if self._campaign_bits:
            tail = tail | self._rank(desired.campaign)
        self._count = len(desired)
        self._order: Int64 | None = None
        contact = desired.contact
        following = (contact[1:] > contact[:-1]) | ((contact[1:] == contact[:-1]) & (tail[1:] > tail[:-1]))
        if not following.all():
            self._order = np.lexsort((tail, contact))
            contact, tail = contact[self._order], tail[self._order]
        self._tails = tail
        each = np.bincount(contact, minlength=len(ids))
        self._first = np.zeros(len(ids) + 1, np.int32)
        np.cumsum(each, out=self._first[1:])
        self._steps = int(each.max(initial=0)).bit_length()

    def _rank(self, campaign: Numbers) -> Int32:
        """1 and up for the campaigns of desired rows, 0 for none, -1 for others."""
        if not len(self._campaigns):
            return np.where(campaign == 0, np.int32(0), np.int32(-1))
        at = np.minimum(np.searchsorted(self._campaigns, campaign), len(self._campaigns) - 1)
        known = np.where(self._campaigns[at] == campaign, at + 1, -1)
        return np.where(campaign == 0, 0, known).astype(np.int32)

    def _tail(self, email_type: Codes, event: Int32) -> Int32 | Int64:
        """Types and events packed, with room for the campaign's rank."""
        packed = self._type_rank[email_type].astype(np.int64) << self._event_bits
        packed = (packed | (event - np.int32(self._first_event))) << self._campaign_bits
        return self._narrowed(packed)

    def _narrowed(self, packed: Int64) -> Int32 | Int64:
        return packed.astype(np.int32) if self._is_narrow else packed

    def find(self, contact_id: Int64, email_type: Codes, event: Int32, campaign: Numbers) -> Int32:
        """The index of the desired row with each key, -1 where there is none; shape (n,)."""
        return self.find_tails(contact_index(self._ids, contact_id), self.tails(email_type, event, campaign))

    def tails(self, email_type: Codes, event: Int32, campaign: Numbers) -> Int32 | Int64:
        """The keys but for the contact, packed; -1 for what no desired row has. Shape (n,)."""
        rank, offset = self._rank(campaign), event.astype(np.int64) - self._first_event
        possible = (email_type >= 0) & (rank >= 0) & (offset >= 0) & (offset < 1 << self._event_bits)
        found = np.full(len(email_type), -1, np.int64)
        found[possible] = self._tail(email_type[possible], event[possible]) | rank[possible]
        return self._narrowed(found)

    def find_tails(self, contact: Int32, tail: Int32 | Int64) -> Int32:
        """`find` with indexes of contacts, -1 for none, and `tails`."""
        if not self._count:
            return np.full(len(contact), -1, np.int32)
        # A binary search among the rows of each contact, all in step.
        low, end = self._first[contact], self._first[contact + 1]
        high = end
        for _ in range(self._steps):
            middle = (low + high) >> 1
            open_ = low < high
            less = self._tails.take(middle, mode="clip") < tail
            low = np.where(open_ & less, middle + 1, low)
            high = np.where(open_ & ~less, middle, high)
        found = (contact >= 0) & (tail >= 0) & (low < end) & (self._tails.take(low, mode="clip") == tail)
        index = low if self._order is None else self._order.take(low, mode="clip").astype(np.int32)
        return np.where(found, index, np.int32(-1))
