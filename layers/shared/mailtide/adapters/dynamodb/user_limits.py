"""Each user's limits: starts in the hour, and in the day."""

import threading
from dataclasses import dataclass

from mailtide.adapters.dynamodb.table import ConditionFailedError, Item, Table, as_int
from mailtide.errors import TransientError
from mailtide.warmup.contracts import DAY_MS, day_of, day_start_ms
from mailtide.warmup.limits import EDGE_MS, HOUR_MS, Window, block_size

TTL_MS = 2 * DAY_MS
_ATTEMPTS = 12


@dataclass(frozen=True, slots=True)
class Share:
    """What one user got of a wave, and when asking again may help."""

    count: int
    retry_ms: int = 0


@dataclass(slots=True)
class _Store:
    """What this process has of a user's tokens in one hour."""

    hour_start_ms: int
    left: int = 0
    used: int = 0
    credit: int = 0
    """Tokens of earlier hours of the day that nobody used: the day's counter is told with the next update."""
    room_hour: int = 0
    room_day: int = 0
    """As of the last update."""


class UserLimits:
    """Tokens of users, from one item a user and day. Safe for threads."""

    def __init__(self, table: Table, hourly_limit: int) -> None:
        self._table = table
        self._hourly_limit = hourly_limit
        self._lock = threading.Lock()
        self._stores: dict[str, _Store] = {}

    def take(self, window: Window, user_id: str, wanted: int, day_limit: int) -> Share:
        """Up to `wanted` tokens of the window's hour and day."""
        with self._lock:
            store = self._present(user_id, window)
            from_store = min(store.left, wanted)
            store.left -= from_store
            store.used += from_store
            needed = wanted - from_store
            if needed == 0:
                return Share(wanted)
            credit, store.credit = store.credit, 0
            count = block_size(needed, store.used, room_hour=store.room_hour, room_day=store.room_day)
        # The condition lets the first update of an item pass.
        count = min(count, self._hourly_limit, day_limit)
        if count <= 0:
            return Share(from_store, _retry_ms(window, day_limit))
        for _ in range(_ATTEMPTS):
            try:
                item = self._add(window, user_id, count, credit, day_limit)
            except ConditionFailedError as failed:
                room_hour = self._hourly_limit - as_int(failed.item, _hour_counter(window))
                room_day = day_limit - as_int(failed.item, "d") + credit
                count = min(needed, room_hour, room_day)
                if count <= 0:
                    self._keep(store, credit=credit)
                    return Share(from_store, _retry_ms(window, room_day))
            else:
                taken = min(count, needed)
                self._keep(
                    store,
                    used=taken,
                    left=count - taken,
                    room_hour=self._hourly_limit - as_int(item, _hour_counter(window)),
                    room_day=day_limit - as_int(item, "d"),
                )
                return Share(from_store + taken, window.after().valid_from_ms if taken < needed else 0)
        raise TransientError("limits: the item of a user changes too often")

    def _present(self, user_id: str, window: Window) -> _Store:
        """The store of the window's hour; what is left of an earlier hour of the same day becomes credit."""
        store = self._stores.get(user_id)
        if store is None or store.hour_start_ms != window.hour_start_ms:
            is_same_day = store is not None and day_of(store.hour_start_ms) == day_of(window.hour_start_ms)
            credit = store.left + store.credit if store is not None and is_same_day else 0
            store = self._stores[user_id] = _Store(window.hour_start_ms, credit=credit)
        return store

    def _keep(
        self,
        store: _Store,
        *,
        used: int = 0,
        left: int = 0,
        credit: int = 0,
        room_hour: int = 0,
        room_day: int = 0,
    ) -> None:
        with self._lock:
            store.used += used
            store.left += left
            store.credit += credit
            store.room_hour, store.room_day = room_hour, room_day

    def _add(self, window: Window, user_id: str, count: int, credit: int, day_limit: int) -> Item:
        day, hour = day_of(window.start_ms), _hour_counter(window)
        return self._table.update(
            {"p": f"user#{user_id}#{day.isoformat()}"},
            f"SET x = if_not_exists(x, :ttl) ADD d :net, {hour} :count",
            f"(attribute_not_exists(d) OR d <= :day) AND (attribute_not_exists({hour}) OR {hour} <= :hour)",
            {
                ":ttl": (day_start_ms(day) + TTL_MS) // 1000,
                ":net": count - credit,
                ":count": count,
                ":day": day_limit - count + credit,
                ":hour": self._hourly_limit - count,
            },
        )


def _hour_counter(window: Window) -> str:
    return f"h{window.hour_start_ms // HOUR_MS % 24}"


def _retry_ms(window: Window, room_day: int) -> int:
    if room_day <= 0:
        return day_start_ms(day_of(window.start_ms)) + DAY_MS + EDGE_MS
    return window.hour_start_ms + HOUR_MS + EDGE_MS
