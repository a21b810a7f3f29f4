"""Placements and the queue of visits in memory, for `mailtide warmup simulate` and for tests."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date

from mailtide.warmup.contracts import LedgerKey
from mailtide.warmup.reading.contracts import Placement, PlacementDay, ReadMessage, ReportKind


class MemoryPlacements:
    """Implements mailtide.warmup.reading.ports.Placements."""

    def __init__(self) -> None:
        self._days: dict[LedgerKey, PlacementDay] = {}

    def record(self, key: LedgerKey, found: Mapping[int, Placement]) -> None:
        """See mailtide.warmup.reading.ports.Placements."""
        day = self._days.get(key, PlacementDay())
        after = dict(day.placements)
        for number, placement in found.items():
            if number not in after or (after[number].verdict == "missing" and placement.verdict != "missing"):
                after[number] = placement
        self._days[key] = replace(day, placements=after)

    def report(self, key: LedgerKey, reports: Mapping[int, ReportKind]) -> None:
        """See mailtide.warmup.reading.ports.Placements."""
        day = self._days.get(key, PlacementDay())
        complaints = {number: kind for number, kind in day.reports.items() if kind == "complaint"}
        self._days[key] = replace(day, reports={**day.reports, **reports, **complaints})

    def read_many(self, keys: Iterable[LedgerKey]) -> dict[LedgerKey, PlacementDay]:
        """See mailtide.warmup.reading.ports.Placements."""
        return {key: self._days[key] for key in keys if key in self._days}

    def read_shard(self, day: date, shard: int) -> dict[str, PlacementDay]:
        """See mailtide.warmup.reading.ports.Placements."""
        return {key.mailbox_id: found for key, found in self._days.items() if (key.day, key.shard) == (day, shard)}


class MemoryReadQueue:
    """Implements mailtide.warmup.reading.ports.ReadQueue."""

    def __init__(self) -> None:
        self._messages: list[tuple[ReadMessage, int]] = []

    def send_reads(self, messages: Sequence[tuple[ReadMessage, int]]) -> None:
        """See mailtide.warmup.reading.ports.ReadQueue."""
        self._messages += messages

    def take(self) -> list[tuple[ReadMessage, int]]:
        """All that was sent, each with its delay in seconds; they are gone afterwards."""
        taken, self._messages = self._messages, []
        return taken
