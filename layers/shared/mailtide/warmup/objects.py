"""The objects of the warm-up in the bucket (their keys: mailtide.warmup.keys), as frozen models.

Objects that are created once carry the `token` of their writer; the others are replaced with their ETag.
"""

from datetime import date, datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from mailtide.contracts import Contract, new_token
from mailtide.warmup.contracts import Shard, UserId

type PairingCase = Literal["empty", "shifts", "all_shifts", "around_party", "one_party"]
type QuotaStatus = Literal["complete", "on_track", "behind", "failing"]


class Reduction(Contract):
    """Mailboxes whose target fell below their ramp, and why."""

    reason: Literal["cooldown", "placement", "provider", "pairing"]
    mailboxes: int
    mails: int
    """Mails a day that are not planned because of it."""


class BusyMinute(Contract):
    """A minute of the day that is planned above 95 % of the global limit."""

    minute: Annotated[int, Field(ge=0, le=1_439)]
    planned: int


class ProviderPairs(Contract):
    """What the preference for pairs of different providers brought: shares of the planned mails, replies left out."""

    share: float
    """That go from one provider to another today."""
    share_without: float
    """And would without the preference."""
    followed: bool
    """Whether today's order follows it; not where that would have brought fewer."""


class RosterHeader(Contract):
    """warmup/days/{day}/roster.json: the day's plan but for the columns, which stand under its token. Created once, last.

    `windows` are the distinct open times of the day: for each its [start, end) pairs in seconds after 00:00 UTC, ascending.
    """

    token: str = Field(default_factory=new_token)
    day: date
    made_at: datetime
    mailboxes: int
    """N: those with an index, from 0; a mailbox whose target is 0 today still receives."""
    largest_party: int
    """M"""
    parties: int
    case: PairingCase
    case_note: str
    """One sentence: what holds today and what it costs."""
    max_target: int
    modulus: int
    """How many rounds have recipients of their own: K, N − 2M + 1 or N − 1; 0 around a large party (there N − m of each)."""
    lowest_shift: int
    step: int
    base: int
    """a and b of the shifts."""
    windows: tuple[tuple[tuple[int, int], ...], ...]
    shards: int
    planned: int
    """Mails of the day: the sum of the targets."""
    planned_by_shard: tuple[int, ...]
    cooldown_max_ms: int
    reply_rate: float
    reply_delay_ms: tuple[int, int]
    tick_minutes: int
    reductions: tuple[Reduction, ...] = ()
    busy_minutes: tuple[BusyMinute, ...] = ()
    warnings: tuple[str, ...] = ()
    across_providers: ProviderPairs | None = None
    """With WARMUP_PAIR_ACROSS_PROVIDERS, where the pairing is by shifts."""

    def to_bytes(self) -> bytes:
        """See Contract. What no preference was asked for is not written: such a roster is what it always was."""
        left_out = {"across_providers"} if self.across_providers is None else set()
        return self.model_dump_json(indent=1, exclude=left_out).encode()


class ControlFlags(Contract):
    """warmup/control.json, replaced with its ETag: what a person has stopped. Single mailboxes are paused by their status."""

    token: str = Field(default_factory=new_token)
    paused: bool = False
    paused_users: frozenset[UserId] = frozenset()
    """Users who have stopped their own mails."""
    held_users: frozenset[UserId] = frozenset()
    """Users whom an operator has stopped; only an operator lets them go on."""

    def stops(self, user_id: str) -> bool:
        """Whether mails of this user are to wait."""
        return self.paused or user_id in self.paused_users or user_id in self.held_users


class QuotaCounts(Contract):
    """Mailboxes by quota status."""

    complete: int = 0
    on_track: int = 0
    behind: int = 0
    failing: int = 0


class ShardSummary(Contract):
    """warmup/days/{day}/summaries/{shard}.json: what a shard's dispatcher saw at its last tick. Replaced with its ETag."""

    day: date
    shard: Shard
    tick_ms: int
    """Start of the tick."""
    written_ms: int
    mailboxes: int
    active: int
    planned: int
    """Sum of the targets."""
    expected: float
    """Mails that the slots put before `written_ms`."""
    sent: int
    failed: int
    unknown: int
    missed: int
    in_flight: int
    offered: int
    """Messages queued in this tick."""
    held_back: int
    """Due sends that the shard's share of the limits left for later ticks."""
    extra: int
    """Offered sends of extra slots."""
    oldest_due_ms: int | None
    """Due time of the oldest send that nobody has taken yet."""
    quota: QuotaCounts
    sent_history: tuple[tuple[int, int], ...] = ()
    """(tick start, sent by then) of the last 60 minutes."""
    closed: bool = False
    """Written after the day's end, when what was left became missed."""


class QuotaRow(NamedTuple):
    """How one mailbox stood; a JSON array in the object."""

    mailbox_id: str
    user_id: str
    target: int
    sent: int
    failed: int
    unknown: int
    status: QuotaStatus
    why: str = ""
    """Why it writes less than its ramp says; "" when it does not."""


class QuotaSheet(Contract):
    """warmup/days/{day}/quotas/{shard}.json: each mailbox of a shard as its dispatcher saw it at its last tick."""

    day: date
    shard: Shard
    written_ms: int
    rows: tuple[QuotaRow, ...]
