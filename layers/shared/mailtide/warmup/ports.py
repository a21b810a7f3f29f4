"""What the warm-up needs from the world outside.

Every method may also raise TransientError when the other side is out of order for the moment: the queue tries again.
Instants are milliseconds since 1970 (UTC) on the table server's clock: the adapters correct this process's clock by the
Date header of the server's answers, and hand the corrected one in as `WarmupClock`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, Protocol

from mailtide.ports import ObjectInfo, StoredObject
from mailtide.warmup.contracts import (
    DomainTick,
    LedgerKey,
    LedgerView,
    Mailbox,
    MailboxProfile,
    MailboxStatus,
    SendMessage,
    ShardTick,
    Standing,
    WarmupTick,
)

MAX_DELAY_S = 900
CLAIM_TTL_MS = 600_000
"""How long a claim holds without a further update."""


class Objects(Protocol):
    """The part of mailtide.ports.Bucket that the warm-up uses, with the same promises."""

    def get(self, key: str) -> StoredObject | None:
        """The whole object; None when there is none."""

    def create(self, key: str, body: bytes) -> str:
        """The new ETag. StaleWriteError when the object exists already."""

    def replace(self, key: str, body: bytes, *, expected_etag: str) -> str:
        """The new ETag. StaleWriteError when the object has another ETag or is gone."""

    def delete(self, key: str) -> None:
        """Gone afterwards; it need not have existed."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object below the prefix, by key."""

    def list_folders(self, prefix: str) -> Iterator[str]:
        """The names directly below the prefix that have objects below them."""


class WarmupClock(Protocol):
    """The table server's time."""

    def now_ms(self) -> int:
        """Milliseconds since 1970, UTC."""

    def monotonic_ms(self) -> int:
        """A clock that never steps; only differences mean anything."""


class MailboxReader(Protocol):
    """What planning and dispatch read of the mailboxes. No method scans the table."""

    def standings(self, mailbox_ids: Iterable[str]) -> dict[str, Standing]:
        """Status and parking of those that exist, by id; at most a few seconds old."""

    def profiles(self) -> Iterator[MailboxProfile]:
        """Every mailbox of the pool, in any order, without servers and secrets."""


class MailboxStore(MailboxReader, Protocol):
    """The mailboxes."""

    def put_many(self, mailboxes: Sequence[Mailbox]) -> None:
        """Add or replace mailboxes, whole."""

    def get_many(self, mailbox_ids: Iterable[str]) -> dict[str, Mailbox]:
        """Those that exist, by id."""

    def of_user(self, user_id: str) -> Iterator[Mailbox]:
        """Every mailbox of one user, by id."""

    def set_status(self, mailbox_id: str, status: MailboxStatus, reason: str) -> bool:
        """False when there is no such mailbox. Setting the status that stands already is fine.

        The adapter refuses to turn `paused` (a person's word) into `disconnected` or `quarantined`; that is no error: True.
        """

    def park(self, mailbox_id: str, until_ms: int, reason: str) -> bool:
        """No sends before `until_ms`; never shortens. False when there is no such mailbox."""

    def set_provider(self, mailbox_id: str, provider: str) -> bool:
        """Whose mail servers its domain names, "" for unknown ones. False when there is no such mailbox."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One handling of one message: which round, under which token.

    The token is random (mailtide.contracts.new_token) and new for each handling, never made from the message.
    """

    key: LedgerKey
    round: int
    token: str


@dataclass(frozen=True, slots=True)
class ClaimAnswer:
    """What became of a claim."""

    outcome: Literal["held", "refused"]
    """`held` also when the stored token is one's own: the first request's answer was lost."""
    reason: Literal["", "busy", "done", "too_early", "quota", "day_over", "closed"] = ""
    """Why it was refused. `busy`: another claim holds the round; `done`: sent, failed, unknown or missed; `quota`: sent +
    unknown + in flight = target; the rest as they say. Decided by the old item, so it may be out of date at once."""
    taken_over: bool = False
    """An expired claim was replaced: token and expiry only."""
    previous_next_ok_ms: int = 0
    """What next_ok_ms was before; given back with the claim."""
    next_ok_ms: int = 0
    """What stands there now (when refused: why it is too early)."""
    tries: int = 0
    """Refused tries of this round so far."""


type Outcome = Literal["sent", "sent_reply", "failed", "unknown"]
type Mark = Literal["accepted", "bounce", "policy"]
"""What goes into the window of the last 100 outcomes."""


class Ledger(Protocol):
    """One item a mailbox and day (spec §5): the only place where a send is decided.

    Each method but `read…` is one conditional update.
    """

    def claim(self, claim: Claim, *, target: int, now_ms: int, next_ok_ms: int, day_end_ms: int) -> ClaimAnswer:
        """Set the round to `sending` until now + CLAIM_TTL_MS, and next_ok to `next_ok_ms`; creates the item when there is none.

        Allowed when the item is not closed, now < day_end and either the round is untaken (given back counts as untaken),
        sent + unknown + in flight < target and now ≥ its next_ok; or it is `sending` and expired (a takeover: token and
        expiry change, nothing else).
        """

    def begin_data(self, claim: Claim, *, now_ms: int, next_ok_ms: int) -> bool:
        """`sending` → `data`: renews the expiry, and raises next_ok to at least `next_ok_ms`.

        True also when it was applied before with this token. False: the claim was lost, or a claim made after it still has
        its cooldown running (then next_ok is neither one's own nor past; give the claim back); the mail must not be sent.
        """

    def finish(self, claim: Claim, outcome: Outcome, *, mark: Mark | None = None) -> bool:
        """`data` (for `failed` also `sending`) → the outcome; also `unknown` → `sent`, `sent_reply` or `failed` by its own token.

        True also when it was applied before with this token. False: someone else settled it. `mark` joins the last 100.
        """

    def give_back(
        self,
        claim: Claim,
        answer: ClaimAnswer,
        *,
        refused: bool,
        next_ok_ms: int | None = None,
        mark: Mark | None = None,
    ) -> bool:
        """`sending` or `data` → untaken, after a definite refusal (`refused`: tries + 1) or for want of limit tokens.

        next_ok becomes `next_ok_ms` when given (a back-off), else what `answer` says it was before the claim, but only where
        it is still one's own. True also when applied before; False when the claim was lost.
        """

    def expire(self, view: LedgerView, *, now_ms: int) -> LedgerView:
        """Turn every `data` of the item that has expired into `unknown`; the item as it is then. Fine to repeat."""

    def settle(self, key: LedgerKey, number: int, outcome: Literal["sent", "sent_reply", "failed"]) -> bool:
        """`unknown` → what a look into the recipient's mailbox found. False when it is not unknown (any more)."""

    def close(self, view: LedgerView, *, target: int, rounds: int, now_ms: int) -> LedgerView:
        """After the day's end: expired `data` → `unknown`; untaken and expired `sending` of the first `rounds` → `missed`;
        no claim is possible any more. Creates the item when there is none (`view` from `nothing_yet`). Fine to repeat."""

    def read(self, key: LedgerKey) -> LedgerView | None:
        """One item, consistently; None when nothing happened yet."""

    def read_shard(self, day: date, shard: int) -> dict[str, LedgerView]:
        """The items of one shard by mailbox, consistently as of the call's begin; those without an item are missing."""


def nothing_yet(key: LedgerKey, target: int) -> LedgerView:
    """The view of an item that does not exist."""
    return LedgerView(key=key, target=target, states="", sent=0, unknown=0, in_flight=0, next_ok_ms=0)


@dataclass(frozen=True, slots=True)
class UserDemand:
    """What a wave asks for one user."""

    count: int
    day_limit: int
    """Starts of sends that the user may have this UTC day (SendMessage.user_day_limit)."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Limit tokens: `count[user]` sends may start in [valid_from_ms, valid_until_ms), never outside."""

    counts: Mapping[str, int]
    """Per user, 0 … its demand; users that got none may be missing."""
    valid_from_ms: int
    valid_until_ms: int
    """5 s and more from both edges of the window that the tokens belong to."""
    retry_ms: Mapping[str, int]
    """For users that got less than they asked: when asking again may help (the next window, hour or day)."""


class Limits(Protocol):
    """System-wide limits: hour, minute and half minute together; each user's hour and day."""

    def take(self, demand: Mapping[str, UserDemand]) -> Grant:
        """Take tokens for one wave of sends: what starts now. Never more than a limit, under any interleaving.

        The global part is one item and one conditional update. Tokens of a lost answer are forfeited, never doubled.
        """


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """The send queue."""

    visible: int
    delayed: int
    in_flight: int


class MailQueue(Protocol):
    """The queues of the warm-up functions. At least once."""

    def send_plan(self, tick: WarmupTick) -> None:
        """To plan_warmup (POST control, trigger)."""

    def send_ticks(self, ticks: Sequence[ShardTick]) -> None:
        """To dispatch_shard, all of them or TransientError (some may then stand there)."""

    def send_domains(self, tick: DomainTick) -> None:
        """To plan_warmup: check what is left of the day's domains."""

    def send_mails(self, mails: Sequence[tuple[SendMessage, int]]) -> None:
        """To send_mail, each with its delay in seconds, 0 to MAX_DELAY_S; all of them or TransientError."""

    def depth(self) -> QueueDepth:
        """Approximate numbers of the send queue."""
