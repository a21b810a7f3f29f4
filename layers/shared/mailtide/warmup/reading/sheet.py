"""What the fold of a day leaves in the bucket, one object a shard (its key: mailtide.warmup.keys.placements)."""

from datetime import date
from typing import NamedTuple

from mailtide.contracts import Contract
from mailtide.warmup.contracts import MailboxStatus, Shard
from mailtide.warmup.reading.record import Landed, ScorePoint

type Hold = MailboxStatus
"""Why a mailbox writes less or nothing; `active`: it is slowed alone."""


class HeldBack(NamedTuple):
    """A mailbox that writes less than its ramp says, or nothing; a JSON array in the object. It names no address."""

    mailbox_id: str
    user_id: str
    status: Hold
    since: date | None
    """First day, where the fold has decided it."""
    why: str


class Unread(NamedTuple):
    """A mailbox that visits have failed to read of late; a JSON array in the object."""

    mailbox_id: str
    user_id: str
    why: str


class PlacementSheet(Contract):
    """warmup/days/{day}/placements/{shard}.json: one shard after the fold of its day. Created once; it holds no address."""

    day: date
    shard: Shard
    written_ms: int
    mailboxes: int
    """Those of the day's roster."""
    measured: int
    """Of them with a sample that is large enough for something to follow."""
    landed: dict[str, Landed]
    """Of the day, by the recipient's provider."""
    week: dict[str, Landed]
    """Of the seven days that it ends."""
    bounces: int
    complaints: int
    """Reports of these seven days."""
    slowed: int
    quarantined: int
    resumed: int
    graduated: int
    """What has followed from this day: mailboxes whose state it has changed."""
    withheld: int
    """Mailboxes that were slowed instead of quarantined, since so many at once have something else in common."""
    spared: int = 0
    """Mailboxes that are not slowed although mails of the week are missing, since those of so many were at once."""
    slowed_now: int
    quarantined_now: int
    graduated_now: int
    """As they stand after it. quarantined_now: for whatever reason, as far as they were in the rosters of late."""
    held: tuple[HeldBack, ...] = ()
    unread: tuple[Unread, ...] = ()
    history: tuple[ScorePoint, ...] = ()
    """The shard's score, day by day, the last 30 of them."""
