"""What reading needs from the world outside. Every method may also raise TransientError (mailtide.warmup.ports)."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from mailtide.errors import MailtideError
from mailtide.warmup.contracts import LedgerKey, Mailbox
from mailtide.warmup.reading.contracts import Failure, Placement, PlacementDay, ReadMessage, ReportKind, VisitState

VISIT_TTL_MS = 300_000
"""How long a visit keeps others from its mailbox: the time-out of the function."""


class Visits(Protocol):
    """One item a mailbox: what the last visit left, and a lease."""

    def begin(self, mailbox_id: str, token: str, *, now_ms: int, access: str = "") -> VisitState | None:
        """Take the mailbox for VISIT_TTL_MS. None while another visit has it, or before its not_before_ms.

        access: as VisitState has it, but of now. Where it is another one, not_before_ms does not hold any more.
        """

    def end(self, state: VisitState, token: str) -> bool:
        """Keep the state and let the mailbox go. False, and nothing kept, when the lease was lost."""

    def read_many(self, mailbox_ids: Iterable[str]) -> dict[str, VisitState]:
        """What the last visits left, of those that were ever visited."""


class Placements(Protocol):
    """One item a sender and day, under the ledger's keys. Each update is fine to repeat, in any order."""

    def record(self, key: LedgerKey, found: Mapping[int, Placement]) -> None:
        """By round. `missing` never replaces what was found; `inbox` and `junk` replace only `missing`."""

    def report(self, key: LedgerKey, reports: Mapping[int, ReportKind], *, complainer: str = "") -> None:
        """By round; what weighs more stays. complainer: the user whose mailbox the mails were for."""

    def read_many(self, keys: Iterable[LedgerKey]) -> dict[LedgerKey, PlacementDay]:
        """Those that have an item."""

    def read_shard(self, day: date, shard: int) -> dict[str, PlacementDay]:
        """The items of one shard by mailbox."""


class ReadQueue(Protocol):
    """The queue of read_mailboxes. At least once."""

    def send_reads(self, messages: Sequence[tuple[ReadMessage, int]]) -> None:
        """Each with its delay in seconds, 0 to MAX_DELAY_S; all of them or TransientError."""


class Directory(Protocol):
    """The part of mailtide.warmup.ports.MailboxStore that reading uses."""

    def get_many(self, mailbox_ids: Iterable[str]) -> dict[str, Mailbox]:
        """Those that exist, by id."""


class VisitFailedError(MailtideError):
    """The mail server did not let a visit go on. It names no more than the kind: a server's own text may repeat a secret."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"The visit failed: {failure}.")
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as it was when it was opened. The next mail gets a uid of at least `next_uid`."""

    name: str
    uidvalidity: int
    next_uid: int


@dataclass(frozen=True, slots=True)
class Header:
    """Some header fields of a mail, as they came and cut off at a few KB, and its flags."""

    uid: int
    flags: frozenset[str]
    fields: bytes


class MailboxView(Protocol):
    """A connection that is logged in. Blocking, for one thread. Every method raises VisitFailedError, at the latest when the
    time of the visit is over.

    What only looks, looks into folders that are opened read-only, and sets no flag.
    """

    def junk_folder(self) -> str | None:
        """The name of the folder for junk, as the server marks it (RFC 6154), else by usual names."""

    def look_into(self, name: str) -> Folder:
        """Open a folder read-only (EXAMINE)."""

    def uids(self, first: int, last: int, since: date) -> list[int]:
        """Uids in [first, last] of mails that came on that day or later, ascending."""

    def headers(self, uids: Sequence[int]) -> list[Header]:
        """Of those that exist, by uid."""

    def peek(self, uid: int, size_bytes: int) -> bytes:
        """The beginning of a mail; empty when it is gone."""

    def is_elsewhere(self, message_id: str, since: date) -> bool:
        """Whether a mail with this Message-ID, that came on that day or later, lies in any folder but the inbox and junk."""

    def mark(self, folder: Folder, marks: Mapping[int, frozenset[str]]) -> int:
        """Add flags, by uid; how many mails the server did that for. The folder stays open for writing only as long as that
        takes, and nothing is done when its uidvalidity has changed."""

    def move(self, folder: Folder, uids: Sequence[int], to: str, *, again: bool = False) -> int:
        """Move these mails alone; how many the server moved. Where that needs the removal of others, they stay.

        again: only where a mail that an earlier move left behind cannot be in both folders.
        """

    def close(self) -> None:
        """Log out; removes nothing. Never raises."""


class MailServers(Protocol):
    """Opens views, never more at once to one host than it may."""

    def room(self, mailbox: Mailbox, *, time_left_s: float) -> AbstractAsyncContextManager[None]:
        """Room for one connection to the mailbox's host. TransientError when none is free in time."""

    async def prepare(self, mailbox: Mailbox, *, time_left_s: float) -> None:
        """See before the mailbox is taken whether its secret can be opened now. KeyRefusedError, TransientError."""

    async def open(self, mailbox: Mailbox, *, time_left_s: float) -> MailboxView:
        """Connect and log in; the view ends when the time is over. VisitFailedError."""
