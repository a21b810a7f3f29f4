"""The daily cap (spec §6, step 2): rows that overflow a day fall to the next, day by day.

The work of a day grows with the rows that come and stay, not with the rows that wait, so long cascades stay cheap.
"""

from collections.abc import Callable

import numpy as np

from mailtide.rules.columns import Bool, Int32, Int64

_BLOCK_BITS = 12

type Chain = tuple[int, int]


def chains(counts: Int64, stuck: Int64, cap: int, limit: int) -> list[Chain]:
    """Stretches of days, first .. last + 1, outside which no row can move, counted from the first day.

    counts: rows of each day; stuck: how many of them cannot move at all; both of shape (days,).
    """
    found: list[Chain] = []
    rows, fixed = counts.tolist(), stuck.tolist()
    day = 0
    for start in np.flatnonzero(counts > limit).tolist():
        if start < day:
            continue
        day, carried = start, 0
        while True:
            total = carried + (rows[day] if day < len(rows) else 0)
            carried = total - max(cap, fixed[day] if day < len(rows) else 0) if total > limit else 0
            day += 1
            if carried <= 0:
                break
        found.append((start, day))
    return found


def in_chains(days: Int32, found: list[Chain]) -> Bool:
    """Which days lie in one of the stretches; days: counted from the first day, shape (n,)."""
    inside = np.zeros(int(days.max(initial=0)) + 1, np.bool_)
    for first, end in found:
        inside[first:end] = True
    return inside[days]


class _Pool:
    """A set of places 0..n-1 from which the lowest are taken."""

    def __init__(self, size: int) -> None:
        self._inside = np.zeros(size, np.bool_)
        self._blocks = np.zeros((size >> _BLOCK_BITS) + 1, np.int64)
        self.size = 0

    def _count(self, places: Int32, sign: int) -> None:
        self._blocks += sign * np.bincount(places >> _BLOCK_BITS, minlength=len(self._blocks))
        self.size += sign * len(places)

    def add(self, places: Int32) -> None:
        self._inside[places] = True
        self._count(places, 1)

    def remove(self, places: Int32) -> None:
        self._inside[places] = False
        self._count(places, -1)

    def members(self, places: Int32) -> Int32:
        return places[self._inside[places]]

    def take_lowest(self, count: int) -> Int32:
        count = min(count, self.size)
        if count <= 0:
            return np.zeros(0, np.int32)
        upto = np.cumsum(self._blocks)
        first = int(np.searchsorted(upto, 1)) << _BLOCK_BITS
        end = (int(np.searchsorted(upto, count)) + 1) << _BLOCK_BITS
        lowest = (np.flatnonzero(self._inside[first:end])[:count] + first).astype(np.int32)
        self.remove(lowest)
        return lowest


class _Buckets:
    """Places by day."""

    def __init__(self, days: Int32) -> None:
        self._parts: dict[int, list[Int32]] = {}
        self.push(np.arange(len(days), dtype=np.int32), days)

    def push(self, places: Int32, days: Int32) -> None:
        order = np.argsort(days, kind="stable")
        ordered = days[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1]))[: len(ordered)])
        for day, part in zip(ordered[starts].tolist(), np.split(places[order], starts[1:]), strict=False):
            self._parts.setdefault(day, []).append(part)

    def pop(self, day: int) -> Int32:
        parts = self._parts.pop(day, [])
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)


def cascade(
    day: Int32,
    until: Int32,
    totals: Callable[[int], tuple[int, int]],
    days: list[range],
    cap: int,
    limit: int,
    prolong: Callable[[Int32, Int32], Int32],
) -> Int32:
    """The final day of each row that can move.

    day, until: first and last day of each row, which can stand on all between, in the order in which a day is filled;
    shape (n,). totals: of a day, how many rows start on it, and how many of these cannot move. days: the days to
    process, ascending. prolong: (rows, their days) to the last days that they reach from there.
    """
    final = day.copy()
    pool, arriving, expiring = _Pool(len(day)), _Buckets(day), _Buckets(until)
    for today in (today for stretch in days for today in stretch):
        rows, stuck = totals(today)
        if pool.size + rows <= limit:
            final[pool.take_lowest(pool.size)] = today
            continue
        ended = pool.members(expiring.pop(today))
        pool.add(arriving.pop(today))
        longer = prolong(ended, np.full_like(ended, today)) if len(ended) else ended
        expiring.push(ended[longer > today], longer[longer > today])
        staying = ended[longer <= today]
        pool.remove(staying)
        final[staying] = today
        final[pool.take_lowest(cap - stuck - len(staying))] = today
    return final
