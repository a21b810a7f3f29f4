"""What must change in the table, from which standing rows match which desired ones (spec §9)."""

from dataclasses import dataclass

import numpy as np

from mailtide.rules.columns import Bool, Int32, Int64, Numbers


@dataclass(frozen=True, slots=True)
class MatchedRows:
    """Planned rows of the table: row id, the desired row with that key (-1 for none), and whether they are equal."""

    row_id: Numbers
    match: Int32
    equal: Bool


@dataclass(frozen=True, slots=True)
class Differences:
    """What must change. insert and update_to are indexes into Desired; update_row and delete are row ids, ascending."""

    insert: Int32
    update_row: Int64
    update_to: Int32
    delete: Int64
    unchanged: int

    def __len__(self) -> int:
        """How many rows come, go or change."""
        return len(self.insert) + len(self.update_row) + len(self.delete)

    @property
    def is_empty(self) -> bool:
        """Whether the table already stands as it should."""
        return len(self) == 0

    @staticmethod
    def all_new(wanted: int) -> "Differences":
        """Where no row stands."""
        nothing = np.empty(0, np.int64)
        return Differences(np.arange(wanted, dtype=np.int32), nothing, nothing.astype(np.int32), nothing, 0)


class Tally:
    """Adds up rows part by part, and keeps of each part only what differs: most rows stand as they should."""

    def __init__(self, wanted: int) -> None:
        """wanted: how many desired rows there are."""
        self._there = np.zeros(wanted, np.bool_)
        self._unequal: list[tuple[Numbers, Int32]] = []
        self._equal: list[int] = []

    def add(self, part: MatchedRows) -> None:
        """Count a part; in any order, from any thread."""
        self._there[part.match[part.equal]] = True
        unequal = np.flatnonzero(~part.equal)
        self._unequal.append((part.row_id[unequal], part.match[unequal]))
        self._equal.append(len(part.match) - len(unequal))

    def differences(self) -> Differences | None:
        """What must change, once all is added; None where several rows match one desired row: see `differences_of_twins`."""
        row_id = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in self._unequal)], dtype=np.int64)
        match = np.concatenate([np.empty(0, np.int32), *(found for _, found in self._unequal)])
        order = np.argsort(row_id, kind="stable")
        row_id, match = row_id[order], match[order]
        updates, unchanged, there = match >= 0, sum(self._equal), self._there
        if np.count_nonzero(there) < unchanged or there[match[updates]].any() or _repeat(match[updates]):
            return None
        there[match[updates]] = True
        return Differences(
            insert=np.flatnonzero(~there).astype(np.int32),
            update_row=row_id[updates],
            update_to=match[updates],
            delete=row_id[~updates],
            unchanged=unchanged,
        )


def _repeat(values: Int32) -> bool:
    ordered = np.sort(values)
    return bool((ordered[1:] == ordered[:-1]).any())


def differences_of_twins(parts: list[MatchedRows], wanted: int) -> Differences:
    """What must change where several rows may match one desired row: the one with the lowest row id stays."""
    row_id = np.concatenate([np.empty(0, np.int64), *(part.row_id for part in parts)], dtype=np.int64)
    match = np.concatenate([np.empty(0, np.int32), *(part.match for part in parts)])
    equal = np.concatenate([np.empty(0, np.bool_), *(part.equal for part in parts)])
    order = np.argsort(row_id, kind="stable")
    row_id, match, equal = row_id[order], match[order], equal[order]
    owner = np.full(wanted, -1, np.int32)
    positions = np.flatnonzero(match >= 0)[::-1].astype(np.int32)
    owner[match[positions]] = positions
    stays = np.zeros(len(row_id), np.bool_)
    stays[owner[owner >= 0]] = True
    update = stays & ~equal
    return Differences(
        insert=np.flatnonzero(owner < 0).astype(np.int32),
        update_row=row_id[update],
        update_to=match[update],
        delete=row_id[~stays],
        unchanged=int((stays & equal).sum()),
    )
