"""The objects that the folds have left, read together and kept: they change once a day."""

from concurrent.futures import Executor
from datetime import date, timedelta

from mailtide.warmup import keys
from mailtide.warmup.days import RosterStore
from mailtide.warmup.ports import Objects
from mailtide.warmup.reading.fold import CATCH_UP_DAYS
from mailtide.warmup.reading.sheet import PlacementSheet
from mailtide.warmup.store import read


class PlacementBook:
    """The last day that was folded. Safe for threads; two may read the same at once."""

    def __init__(self, bucket: Objects, rosters: RosterStore) -> None:
        self._bucket = bucket
        self._rosters = rosters
        self._kept: tuple[PlacementSheet, ...] = ()

    def latest(self, today: date, executor: Executor) -> tuple[PlacementSheet, ...]:
        """One object a shard, of the last day before today that all shards have folded; none when there is no such day.

        Where no day of the week is whole, the last one of which there is anything.
        """
        partly: tuple[PlacementSheet, ...] = ()
        for back in range(1, CATCH_UP_DAYS + 1):
            day = today - timedelta(days=back)
            if self._kept and self._kept[0].day == day:
                return self._kept
            sheets, shards = self._read(day, executor)
            if sheets and len(sheets) == shards:
                self._kept = sheets
                return sheets
            partly = partly or sheets
        return partly

    def _read(self, day: date, executor: Executor) -> tuple[tuple[PlacementSheet, ...], int]:
        header = self._rosters.header(day)
        if header is None:
            return (), 0

        def sheet(shard: int) -> PlacementSheet | None:
            return read(self._bucket, keys.placements(day, shard), PlacementSheet)

        first = sheet(0)
        if first is None:
            # Not folded yet: the others would each be asked for in vain.
            return (), header.shards
        found = executor.map(sheet, range(1, header.shards))
        return (first, *(one for one in found if one is not None)), header.shards
