"""What reading needs from the world outside. Every method may also raise TransientError (mailtide.warmup.ports)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Protocol

from mailtide.warmup.contracts import LedgerKey
from mailtide.warmup.reading.contracts import Placement, PlacementDay, ReadMessage, ReportKind, VisitState

VISIT_TTL_MS = 300_000
"""How long a visit keeps others from its mailbox: the time-out of the function."""


class Visits(Protocol):
    """One item a mailbox: what the last visit left, and a lease."""

    def begin(self, mailbox_id: str, token: str, *, now_ms: int) -> VisitState | None:
        """Take the mailbox for VISIT_TTL_MS. None while another visit has it, or before its not_before_ms."""

    def end(self, state: VisitState, token: str) -> bool:
        """Keep the state and let the mailbox go. False, and nothing kept, when the lease was lost."""


class Placements(Protocol):
    """One item a sender and day, under the ledger's keys. Each update is fine to repeat, in any order."""

    def record(self, key: LedgerKey, found: Mapping[int, Placement]) -> None:
        """By round. `missing` never replaces what was found; `inbox` and `junk` replace only `missing`."""

    def report(self, key: LedgerKey, reports: Mapping[int, ReportKind]) -> None:
        """By round; a complaint replaces a bounce."""

    def read_many(self, keys: Iterable[LedgerKey]) -> dict[LedgerKey, PlacementDay]:
        """Those that have an item."""

    def read_shard(self, day: date, shard: int) -> dict[str, PlacementDay]:
        """The items of one shard by mailbox."""


class ReadQueue(Protocol):
    """The queue of read_mailboxes. At least once."""

    def send_reads(self, messages: Sequence[tuple[ReadMessage, int]]) -> None:
        """Each with its delay in seconds, 0 to MAX_DELAY_S; all of them or TransientError."""
