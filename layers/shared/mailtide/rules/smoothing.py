"""Smoothing over the whole organisation (spec §6): effective dates apart, then the daily cap."""

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from mailtide.rules.candidates import Rows, hash_of
from mailtide.rules.cascade import cascade, chains, in_chains
from mailtide.rules.columns import Bool, Int32
from mailtide.rules.config import Rules
from mailtide.rules.dates import LAST_DAY
from mailtide.rules.people import People
from mailtide.rules.sources import EFFECTIVE, SourceTable
from mailtide.rules.windows import StateWindows


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The whole numbers of a day that §6 works with."""

    cap: int
    limit: int
    soft: int


def floor_of(count: int, fraction: Decimal) -> int:
    """floor(count × fraction), exactly."""
    numerator, denominator = fraction.as_integer_ratio()
    return count * numerator // denominator


def limits_of(rules: Rules, eligible: int) -> Limits | None:
    """The limits for this number of eligible contacts; None when there is no cap."""
    if rules.daily_cap_fraction is None:
        return None
    cap = max(1, floor_of(eligible, rules.daily_cap_fraction))
    soft = max(1, floor_of(cap, rules.ed_soft_limit_fraction))
    if rules.ed_soft_limit is not None:
        soft = min(soft, rules.ed_soft_limit)
    return Limits(cap=cap, limit=floor_of(cap, rules.overage_threshold), soft=soft)


class Smoother:
    """Moves the unskipped rows of a whole organisation."""

    def __init__(self, rules: Rules, as_of: int, people: People, table: SourceTable, windows: StateWindows) -> None:
        self._rules, self._as_of = rules, as_of
        self._people, self._table, self._windows = people, table, windows

    def smooth(self, rows: Rows, send: Int32) -> tuple[Int32, dict[str, int]]:
        """The send dates after smoothing, and how many rows each step moved.

        rows: all unskipped candidates, in any order; send: their dates, `as_of` or later, of the same shape.
        """
        limits = limits_of(self._rules, len(self._people.eligible))
        if limits is None or not len(rows):
            return send, {"smoothed_effective_dates": 0, "moved_by_daily_cap": 0}
        spread = self._spread_effective_dates(rows, send, limits.soft)
        capped = self._cap(rows, spread, limits)
        return capped, {
            "smoothed_effective_dates": int(np.count_nonzero(spread != send)),
            "moved_by_daily_cap": int(np.count_nonzero(capped != spread)),
        }

    def _spread_effective_dates(self, rows: Rows, send: Int32, soft: int) -> Int32:
        effective = np.flatnonzero(rows.source == EFFECTIVE).astype(np.int32)
        day = send[effective] - self._as_of
        crowded = np.bincount(day) > soft
        moving = effective[crowded[day]] if len(effective) else effective
        reach = self._rules.ed_smoothing_days
        part = rows[moving]
        shift = (hash_of(self._people, self._table, part) % np.uint64(2 * reach + 1)).astype(np.int32) - reach
        moved = send.copy()
        target = send[moving] + shift
        allowed = self._may_move(part, target)
        moved[moving[allowed]] = target[allowed]
        return moved

    def _may_move(self, rows: Rows, day: Int32) -> Bool:
        """Whether each row may stand on that day."""
        allowed = (day >= self._as_of) & (day <= np.minimum(self._table.deadline(rows.source, rows.event), LAST_DAY))
        obeys = np.flatnonzero(allowed & self._table.obeys_windows[rows.source])
        allowed[obeys] = self._windows.named(rows.contact[obeys], day[obeys]).free
        return allowed

    def _cap(self, rows: Rows, send: Int32, limits: Limits) -> Int32:
        offset = send - self._as_of
        counts = np.bincount(offset)
        found = chains(counts, np.zeros_like(counts), limits.cap, limits.limit)
        if not found:
            return send
        near = np.flatnonzero(in_chains(offset, found)).astype(np.int32)
        until = self._last_day(rows[near], send[near])
        stuck = np.bincount(offset[near[until == send[near]]], minlength=len(counts))
        found = chains(counts, stuck, limits.cap, limits.limit)
        movable = (until > send[near]) & in_chains(offset[near], found)
        near, until = self._in_filling_order(rows, near[movable], until[movable])
        part = rows[near]

        def totals(day: int) -> tuple[int, int]:
            index = day - self._as_of
            return (int(counts[index]), int(stuck[index])) if index < len(counts) else (0, 0)

        moved = send.copy()
        moved[near] = cascade(
            send[near],
            until,
            totals,
            [range(self._as_of + first, self._as_of + end) for first, end in found],
            limits.cap,
            limits.limit,
            lambda which, day: self._last_day(part[which], day),
        )
        return moved

    def _last_day(self, rows: Rows, day: Int32) -> Int32:
        """The last day that each row reaches by single moves from `day`; it may go on from the end of the next year."""
        until = np.minimum(self._table.deadline(rows.source, rows.event), LAST_DAY)
        obeys = np.flatnonzero((until > day) & self._table.obeys_windows[rows.source])
        until[obeys] = np.minimum(until[obeys], self._windows.free_until(rows.contact[obeys], day[obeys]))
        return np.maximum(until, day)

    def _in_filling_order(self, rows: Rows, near: Int32, until: Int32) -> tuple[Int32, Int32]:
        """Rows in the order in which a day is filled."""
        part, table = rows[near], self._table
        order = np.lexsort(
            (
                part.event,
                table.type_rank[part.source],
                table.campaign[part.source],
                part.contact,
                hash_of(self._people, table, part),
                table.priority[part.source],
            )
        )
        return near[order], until[order]
