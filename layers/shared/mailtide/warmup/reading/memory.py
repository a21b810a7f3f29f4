"""Visits, placements and the queue of visits in memory, for `mailtide warmup simulate` and for tests."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import get_args

from mailtide.warmup.contracts import LedgerKey
from mailtide.warmup.reading.contracts import Placement, PlacementDay, ReadMessage, ReportKind, VisitState
from mailtide.warmup.reading.ports import VISIT_TTL_MS

WEIGHTS: tuple[ReportKind, ...] = get_args(ReportKind.__value__)


class MemoryVisits:
    """Implements mailtide.warmup.reading.ports.Visits."""

    def __init__(self) -> None:
        self._states: dict[str, VisitState] = {}
        self._leases: dict[str, tuple[str, int]] = {}
        self._ended: dict[str, str] = {}

    def begin(self, mailbox_id: str, token: str, *, now_ms: int, access: str = "") -> VisitState | None:
        """See mailtide.warmup.reading.ports.Visits."""
        state = self._states.get(mailbox_id, VisitState(mailbox_id=mailbox_id))
        holder, ends_ms = self._leases.get(mailbox_id, ("", 0))
        is_held = state.not_before_ms > now_ms and state.access == access
        if (ends_ms > now_ms and holder != token) or is_held:
            return None
        self._leases[mailbox_id] = (token, now_ms + VISIT_TTL_MS)
        return state

    def end(self, state: VisitState, token: str) -> bool:
        """See mailtide.warmup.reading.ports.Visits."""
        if self._leases.get(state.mailbox_id, ("", 0))[0] != token:
            return self._ended.get(state.mailbox_id) == token
        del self._leases[state.mailbox_id]
        self._states[state.mailbox_id] = state
        self._ended[state.mailbox_id] = token
        return True

    def read_many(self, mailbox_ids: Iterable[str]) -> dict[str, VisitState]:
        """See mailtide.warmup.reading.ports.Visits."""
        return {mailbox_id: self._states[mailbox_id] for mailbox_id in mailbox_ids if mailbox_id in self._states}


class MemoryPlacements:
    """Implements mailtide.warmup.reading.ports.Placements."""

    def __init__(self) -> None:
        self._days: dict[LedgerKey, PlacementDay] = {}

    def record(self, key: LedgerKey, found: Mapping[int, Placement]) -> None:
        """See mailtide.warmup.reading.ports.Placements."""
        day = self._days.get(key, PlacementDay())
        after = dict(day.placements)
        if not found:
            return
        for number, placement in found.items():
            if number not in after or (after[number].verdict == "missing" and placement.verdict != "missing"):
                after[number] = placement
        self._days[key] = replace(day, placements=after)

    def report(self, key: LedgerKey, reports: Mapping[int, ReportKind], *, complainer: str = "") -> None:
        """See mailtide.warmup.reading.ports.Placements."""
        day = self._days.get(key, PlacementDay())
        if not reports:
            return
        after = dict(day.reports)
        for number, kind in reports.items():
            after[number] = max(kind, after.get(number, kind), key=WEIGHTS.index)
        blamed = {number: complainer for number, kind in reports.items() if kind == "complaint"}
        self._days[key] = replace(day, reports=after, complainers=blamed | dict(day.complainers))

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
