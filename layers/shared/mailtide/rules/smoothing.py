"""Smoothing over the whole organisation (spec §6): effective dates apart, then the daily cap."""

from concurrent.futures import Executor
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from mailtide.rules.candidates import Chunk, Rows, hash_of
from mailtide.rules.cascade import Chain, cascade, chains, in_chains
from mailtide.rules.columns import NO_CODE, Bool, Int32, Int64
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


@dataclass(frozen=True, slots=True)
class _Near:
    """The unskipped rows of all chunks that stand on days from which rows may move."""

    rows: Rows
    send: Int32
    places: list[Int64]
    """Where they stand in each chunk."""

    @staticmethod
    def of(chunks: list[Chunk], as_of: int, found: list[Chain], pool: Executor) -> "_Near":
        def near(chunk: Chunk) -> tuple[Int64, Rows, Int32]:
            free = np.flatnonzero(chunk.reason == NO_CODE)
            place = free[in_chains(chunk.send[free] - as_of, found)]
            return place, chunk.rows[place], chunk.send[place]

        places, rows, send = zip(*pool.map(near, chunks), strict=True)
        return _Near(Rows.join(list(rows)), np.concatenate(send), list(places))

    def write_back(self, chunks: list[Chunk], send: Int32) -> None:
        """Set the dates of these rows in their chunks."""
        edges = np.cumsum([len(place) for place in self.places])[:-1]
        for chunk, place, dates in zip(chunks, self.places, np.split(send, edges), strict=True):
            chunk.send[place] = dates


class Smoother:
    """Moves the unskipped rows of a whole organisation."""

    def __init__(self, rules: Rules, as_of: int, people: People, table: SourceTable, windows: StateWindows) -> None:
        self._rules, self._as_of = rules, as_of
        self._people, self._table, self._windows = people, table, windows

    def smooth(self, chunks: list[Chunk], pool: Executor) -> dict[str, int]:
        """Write the send dates after smoothing into the chunks; returns how many rows each step moved.

        chunks: all candidates, the unskipped ones with dates from `as_of` on.
        """
        limits = limits_of(self._rules, len(self._people.eligible))
        spread = capped = 0
        if limits is not None:
            spread = self._spread_effective_dates(chunks, limits.soft, pool)
            capped = self._cap(chunks, limits, pool)
        return {"smoothed_effective_dates": spread, "moved_by_daily_cap": capped}

    def _rows_by_day(self, chunks: list[Chunk], pool: Executor, source: int | None = None) -> Int64:
        """The number of unskipped rows of each day from `as_of` on, of one source or of all."""

        def count(chunk: Chunk) -> Int64:
            counted = chunk.reason == NO_CODE
            if source is not None:
                counted &= chunk.rows.source == source
            return np.bincount(chunk.send[counted] - self._as_of)

        parts = list(pool.map(count, chunks))
        total = np.zeros(max(len(part) for part in parts), np.int64)
        for part in parts:
            total[: len(part)] += part
        return total

    def _spread_effective_dates(self, chunks: list[Chunk], soft: int, pool: Executor) -> int:
        crowded = self._rows_by_day(chunks, pool, EFFECTIVE) > soft
        return sum(pool.map(lambda chunk: self._spread(chunk, crowded), chunks)) if crowded.any() else 0

    def _spread(self, chunk: Chunk, crowded: Bool) -> int:
        """Move the effective dates of crowded days; returns how many moved."""
        effective = np.flatnonzero((chunk.reason == NO_CODE) & (chunk.rows.source == EFFECTIVE)).astype(np.int32)
        moving = effective[crowded[chunk.send[effective] - self._as_of]]
        reach = self._rules.ed_smoothing_days
        part = chunk.rows[moving]
        shift = (hash_of(self._people, self._table, part) % np.uint64(2 * reach + 1)).astype(np.int32) - reach
        target = chunk.send[moving] + shift
        moves = self._may_move(part, target) & (shift != 0)
        chunk.send[moving[moves]] = target[moves]
        return int(np.count_nonzero(moves))

    def _may_move(self, rows: Rows, day: Int32) -> Bool:
        """Whether each row may stand on that day."""
        allowed = (day >= self._as_of) & (day <= np.minimum(self._table.deadline(rows.source, rows.event), LAST_DAY))
        obeys = np.flatnonzero(allowed & self._table.obeys_windows[rows.source])
        allowed[obeys] = self._windows.named(rows.contact[obeys], day[obeys]).free
        return allowed

    def _cap(self, chunks: list[Chunk], limits: Limits, pool: Executor) -> int:
        counts = self._rows_by_day(chunks, pool)
        found = chains(counts, np.zeros_like(counts), limits.cap, limits.limit)
        if not found:
            return 0
        near = _Near.of(chunks, self._as_of, found, pool)
        until = self._last_day(near.rows, near.send)
        offset = near.send - self._as_of
        stuck = np.bincount(offset[until == near.send], minlength=len(counts))
        found = chains(counts, stuck, limits.cap, limits.limit)
        movable = np.flatnonzero((until > near.send) & in_chains(offset, found)).astype(np.int32)
        movable = movable[self._filling_order(near.rows[movable])]
        part = near.rows[movable]

        def totals(day: int) -> tuple[int, int]:
            index = day - self._as_of
            return (int(counts[index]), int(stuck[index])) if index < len(counts) else (0, 0)

        moved = near.send.copy()
        moved[movable] = cascade(
            near.send[movable],
            until[movable],
            totals,
            [range(self._as_of + first, self._as_of + end) for first, end in found],
            limits.cap,
            limits.limit,
            lambda which, day: self._last_day(part[which], day),
        )
        near.write_back(chunks, moved)
        return int(np.count_nonzero(moved != near.send))

    def _last_day(self, rows: Rows, day: Int32) -> Int32:
        """The last day that each row reaches by single moves from `day`; it may go on from the end of the next year."""
        until = np.minimum(self._table.deadline(rows.source, rows.event), LAST_DAY)
        obeys = np.flatnonzero((until > day) & self._table.obeys_windows[rows.source])
        until[obeys] = np.minimum(until[obeys], self._windows.free_until(rows.contact[obeys], day[obeys]))
        return np.maximum(until, day)

    def _filling_order(self, rows: Rows) -> Int64:
        """The order in which a day is filled."""
        table = self._table
        return np.lexsort(
            (
                rows.event,
                table.type_rank[rows.source],
                table.campaign[rows.source],
                rows.contact,
                hash_of(self._people, table, rows),
                table.priority[rows.source],
            )
        )
