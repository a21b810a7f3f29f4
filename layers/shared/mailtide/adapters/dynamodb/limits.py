"""The limits on DynamoDB: an item for each hour of the system and one for each user and day (docs/warmup-ledger.md).

The hour's item counts its starts, and those of its minutes and half minutes: one conditional update takes the tokens of a wave
from all three. A counter only grows, but for tokens that come back from the process that took them and started nothing with them.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor

from mailtide.adapters.dynamodb.table import ConditionFailedError, Item, Table, as_int
from mailtide.adapters.dynamodb.user_limits import TTL_MS, UserLimits
from mailtide.errors import TransientError
from mailtide.warmup.limits import GlobalLimits, Window, window_at
from mailtide.warmup.ports import Grant, UserDemand

_ATTEMPTS = 12


class DynamoLimits:
    """Implements mailtide.warmup.ports.Limits."""

    def __init__(
        self,
        table: Table,
        limits: GlobalLimits,
        *,
        user_hourly_limit: int,
        executor: Executor,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        """executor: carries the updates of a wave's users side by side. now_ms: for tests; else the table's clock."""
        self._table = table
        self._limits = limits
        self._users = UserLimits(table, user_hourly_limit)
        self._executor = executor
        self._now_ms = now_ms or table.clock.now_ms

    def take(self, demand: Mapping[str, UserDemand]) -> Grant:
        """See mailtide.warmup.ports.Limits. What a user may not use goes back to the system's counters."""
        window = window_at(self._now_ms())
        granted, retry_ms = self._take_global(window, sum(part.count for part in demand.values()))
        allotted = allot(demand, granted)
        shares = self._executor.map(
            lambda user: self._users.take(window, user, allotted[user], demand[user].day_limit), allotted
        )
        counts: dict[str, int] = {}
        retries = {user: retry_ms for user, part in demand.items() if allotted.get(user, 0) < part.count}
        for user, share in zip(allotted, shares, strict=True):
            counts[user] = share.count
            if share.count < allotted[user]:
                retries[user] = share.retry_ms
        unused = granted - sum(counts.values())
        if unused:
            self._return_global(window, unused)
        return Grant(
            counts={user: count for user, count in counts.items() if count},
            valid_from_ms=window.valid_from_ms,
            valid_until_ms=window.valid_until_ms,
            retry_ms=retries,
        )

    def _take_global(self, window: Window, wanted: int) -> tuple[int, int]:
        """How many tokens there were, and when more may be had."""
        limits = self._limits
        count, retry_ms = min(wanted, limits.room(0, 0, 0)), window.after().valid_from_ms
        for _ in range(_ATTEMPTS):
            if count <= 0:
                return 0, retry_ms
            try:
                self._add(window, count)
            except ConditionFailedError as failed:
                hour, minute, half = (as_int(failed.item, name) for name in _counters(window))
                count = min(count, limits.room(hour, minute, half))
                retry_ms = limits.next_chance_ms(window, hour, minute)
            else:
                return count, retry_ms
        raise TransientError("limits: the item of the hour changes too often")

    def _add(self, window: Window, count: int) -> None:
        limits = self._limits
        minute, half = _counters(window)[1:]
        stale = [f"{kind}{window.minute - 2}" for kind in "mab"] if window.minute >= 2 else []
        self._table.update(
            _hour_key(window),
            f"SET x = if_not_exists(x, :ttl) {'REMOVE ' + ', '.join(stale) if stale else ''} "
            f"ADD h :count, {minute} :count, {half} :count",
            f"(attribute_not_exists(h) OR h <= :hour) AND (attribute_not_exists({minute}) OR {minute} <= :minute) "
            f"AND (attribute_not_exists({half}) OR {half} <= :half)",
            {
                ":ttl": (window.hour_start_ms + TTL_MS) // 1000,
                ":count": count,
                ":hour": limits.hour - count,
                ":minute": limits.minute - count,
                ":half": limits.half_minute - count,
            },
        )

    def _return_global(self, window: Window, count: int) -> None:
        minute, half = _counters(window)[1:]
        # Counters of old minutes are swept away; nothing is handed back to those.
        condition = f"attribute_exists({minute}) AND attribute_exists({half})"
        update = f"ADD h :back, {minute} :back, {half} :back"
        try:
            self._table.update(_hour_key(window), update, condition, {":back": -count})
        except ConditionFailedError:
            return


def allot(demand: Mapping[str, UserDemand], granted: int) -> dict[str, int]:
    """Tokens by user, in the order of the demand, until they run out; users that get none are missing."""
    shares: dict[str, int] = {}
    for user, part in demand.items():
        share = min(part.count, granted)
        if share:
            shares[user] = share
            granted -= share
    return shares


def _hour_key(window: Window) -> Item:
    return {"p": f"hour#{window.hour_start_ms // 3_600_000}"}


def _counters(window: Window) -> tuple[str, str, str]:
    return "h", f"m{window.minute}", f"{'ab'[window.half]}{window.minute}"
