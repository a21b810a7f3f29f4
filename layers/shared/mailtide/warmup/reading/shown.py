"""Placement as it is shown to people: of the pool, from what the folds have left in the bucket, of one user and one mailbox.

Nothing here holds an address.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date

from pydantic import Field

from mailtide.contracts import Contract
from mailtide.warmup.contracts import Mailbox, MailboxId, MailboxStatus, UserId
from mailtide.warmup.providers import ENGAGEMENT, provider_by_id
from mailtide.warmup.reading.record import (
    HISTORY_DAYS,
    DayTally,
    Landed,
    MailboxHealth,
    Pacing,
    ScorePoint,
    add_days,
    add_landed,
    merge_landed,
)
from mailtide.warmup.reading.score import score
from mailtide.warmup.reading.sheet import PlacementSheet

UNKNOWN = "Others"


class Placed(Contract):
    """Mails of seven days by where they were first seen, and what that says."""

    inbox: int
    junk: int
    missing: int = Field(description="Not seen an hour after they were first looked for.")
    share: float | None = Field(description="Inbox of the three together, 0 … 1; null when there are none.")
    low: float = Field(description="The true share is at least this, as sure as 95 %.")
    high: float = Field(description="And at most this.")


class ProviderPlaced(Placed):
    """Those whose recipients are with one provider."""

    provider: str = Field(description="Its id; empty for all that are not known.")
    name: str


class HistoryDay(Contract):
    """The score of a day: of the seven days that it ends."""

    day: date
    inbox: int
    seen: int
    share: float


class HeldLine(Contract):
    """A mailbox that writes less than its ramp says, or nothing."""

    mailbox_id: MailboxId
    user_id: UserId
    status: MailboxStatus = Field(description="`active`: it is slowed.")
    since: date | None = Field(description="First day, where placement, bounces or complaints have decided it.")
    why: str


class UnreadLine(Contract):
    """A mailbox that visits fail to read."""

    mailbox_id: MailboxId
    user_id: UserId
    why: str


class PlacementReport(Contract):
    """Where the mails of the pool, or of one user's mailboxes, landed in the seven days to the last that was folded."""

    day: date | None = Field(description="The last day that was folded; null before the first.")
    user_id: UserId | None = Field(description="Null for the whole pool.")
    mailboxes: int = Field(description="Mailboxes that it is about.")
    total: Placed
    providers: tuple[ProviderPlaced, ...] = Field(description="By the recipient's provider, most mails first.")
    bounces: int = Field(description="Mails of these days that came back.")
    complaints: int = Field(description="Mails of these days that somebody called spam.")
    slowed: int = Field(description="Mailboxes that write less for now.")
    quarantined: int
    graduated: int
    withheld: int = Field(
        description="Mailboxes that the last fold slowed instead of quarantining, since so many at once share another cause."
    )
    spared: int = Field(
        description="Mailboxes that are not slowed although their mails are missing, since those of so many are at once."
    )
    history: tuple[HistoryDay, ...] = Field(description="Oldest first.")
    held: tuple[HeldLine, ...] = Field(description="Who is held back, and why.")
    held_total: int = Field(description="How many there are, also beyond those that are listed.")
    unread: tuple[UnreadLine, ...] = Field(description="Whose mail could not be looked for of late, and why.")
    unread_total: int = Field(description="How many there are, also beyond those that are listed.")
    warnings: tuple[str, ...] = Field(description="What owners must know, one sentence each.")


class MailboxPlacement(Contract):
    """Placement and health of one mailbox."""

    mailbox_id: MailboxId
    user_id: UserId
    status: MailboxStatus
    status_reason: str
    state: Pacing = Field(description="What follows from its placement, bounces and complaints.")
    since: date | None = Field(description="First day in the state.")
    why: str = Field(description="Why it writes less than its ramp says; empty when it does not.")
    pace: float = Field(description="Part of its ramp's mails that it writes.")
    graduated_on: date | None
    day: date | None = Field(description="The last day that was folded; null before the first.")
    total: Placed
    providers: tuple[ProviderPlaced, ...] = Field(description="By the recipient's provider, most mails first.")
    sent: int = Field(description="Mails of these days.")
    bounces: int
    complaints: int
    unread: str = Field(description="Why visits to it fail; empty when they do not.")
    history: tuple[HistoryDay, ...] = Field(description="Oldest first.")


def of_pool(sheets: Sequence[PlacementSheet], *, limit: int) -> PlacementReport:
    """From the objects of one day, one a shard; held: the first `limit`."""
    landed = merge_landed(sheet.week for sheet in sheets)
    held = [HeldLine(**row._asdict()) for sheet in sheets for row in sheet.held]
    unread = [UnreadLine(**row._asdict()) for sheet in sheets for row in sheet.unread]
    return PlacementReport(
        day=max((sheet.day for sheet in sheets), default=None),
        user_id=None,
        mailboxes=sum(sheet.mailboxes for sheet in sheets),
        total=placed(add_landed(landed.values())),
        providers=by_provider(landed),
        bounces=sum(sheet.bounces for sheet in sheets),
        complaints=sum(sheet.complaints for sheet in sheets),
        slowed=sum(sheet.slowed_now for sheet in sheets),
        quarantined=sum(sheet.quarantined_now for sheet in sheets),
        graduated=sum(sheet.graduated_now for sheet in sheets),
        withheld=(withheld := sum(sheet.withheld for sheet in sheets)),
        spared=(spared := sum(sheet.spared for sheet in sheets)),
        history=_history(point for sheet in sheets for point in sheet.history),
        held=tuple(held[:limit]),
        held_total=len(held),
        unread=tuple(unread[:limit]),
        unread_total=len(unread),
        warnings=(*guard_warnings(withheld, spared), *engagement_warnings(landed)),
    )


def of_user(user_id: str, boxes: Sequence[Mailbox], *, limit: int) -> PlacementReport:
    """From the mailboxes of one user, as they are now."""
    healths = [health for box in boxes if (health := MailboxHealth.from_text(box.health)) is not None]
    last = max((health.through for health in healths), default=None)
    week = add_days((health.week(last) for health in healths), last or date.min)
    held = [HeldLine(**one) for box in boxes if (one := _held(box)) is not None]
    unread = [
        UnreadLine(mailbox_id=box.mailbox_id, user_id=user_id, why=why) for box in boxes if (why := _why_unread(box))
    ]
    read = {box.provider for box in boxes if box.imap is not None and box.engagement.is_any}
    return PlacementReport(
        day=last,
        user_id=user_id,
        mailboxes=len(boxes),
        total=placed(week.total),
        providers=by_provider(week.landed),
        bounces=week.bounces,
        complaints=week.complaints,
        slowed=sum(1 for health in healths if health.state == "slowed"),
        quarantined=sum(1 for box in boxes if box.status == "quarantined"),
        graduated=sum(1 for box in boxes if box.graduated_on is not None),
        withheld=0,
        spared=0,
        history=_history(point for health in healths for point in health.history),
        held=tuple(held[:limit]),
        held_total=len(held),
        unread=tuple(unread[:limit]),
        unread_total=len(unread),
        warnings=tuple(engagement_warnings(read)),
    )


def of_mailbox(box: Mailbox) -> MailboxPlacement:
    """As its item has it."""
    health = MailboxHealth.from_text(box.health)
    week = health.week() if health else DayTally(day=date.min)
    return MailboxPlacement(
        mailbox_id=box.mailbox_id,
        user_id=box.user_id,
        status=box.status,
        status_reason=box.status_reason,
        state=health.state if health else "full",
        since=health.since if health else None,
        why=box.held_back,
        pace=box.pace,
        graduated_on=box.graduated_on,
        day=health.through if health else None,
        total=placed(week.total),
        providers=by_provider(week.landed),
        sent=week.sent,
        bounces=week.bounces,
        complaints=week.complaints,
        unread=_why_unread(box),
        history=_history(health.history if health else ()),
    )


def placed(landed: Landed) -> Placed:
    """The counts with their score, rounded to 0.01 %."""
    found = score(landed)
    share = None if found.share is None else round(found.share, 4)
    return Placed(**landed._asdict(), share=share, low=round(found.low, 4), high=round(found.high, 4))


def by_provider(landed: dict[str, Landed]) -> tuple[ProviderPlaced, ...]:
    """Most mails first; of as many in order of the ids."""
    order = sorted(landed, key=lambda provider: (-landed[provider].seen, provider))
    return tuple(
        ProviderPlaced(provider=provider, name=provider_name(provider), **placed(landed[provider]).model_dump())
        for provider in order
    )


def provider_name(provider: str) -> str:
    """For people."""
    known = provider_by_id(provider)
    return known.name if known else provider or UNKNOWN


def engagement_warnings(provider_ids: Iterable[str]) -> Iterable[str]:
    """What providers' rules say of a machine that reads, moves and marks mail, of those where it does; none when it does not."""
    ids = sorted(set(provider_ids))
    if ids:
        yield ENGAGEMENT
    for provider in filter(None, map(provider_by_id, ids)):
        fact = provider.engagement
        if fact is not None:
            yield f"{provider.name}: {fact.cited}"


def guard_warnings(withheld: int, spared: int) -> Iterable[str]:
    """That many mailboxes were spared, since what they share is no fault of theirs; none when nobody was."""
    if withheld:
        yield (
            f"{withheld} mailboxes were slowed instead of quarantined: so many at once have something else in common, a "
            "provider's bad day or a fault in reading. Look at placement by provider."
        )
    if spared:
        yield (
            f"{spared} mailboxes are not slowed although their mails are missing: so many at once have something else in "
            "common, a provider that loses or delays mail or a fault in reading. Look at placement by provider."
        )


def _why_unread(box: Mailbox) -> str:
    health = MailboxHealth.from_text(box.health)
    return health.unread if health is not None and box.imap is not None else ""


def _held(box: Mailbox) -> dict[str, object] | None:
    if box.status == "active" and not box.held_back:
        return None
    health = MailboxHealth.from_text(box.health)
    is_ours = health is not None and health.state != "full" and box.status in {"active", "quarantined"}
    return {
        "mailbox_id": box.mailbox_id,
        "user_id": box.user_id,
        "status": box.status,
        "since": health.since if health is not None and is_ours else None,
        "why": box.held_back if box.status == "active" else box.status_reason,
    }


def _history(points: Iterable[ScorePoint]) -> tuple[HistoryDay, ...]:
    inbox: Counter[date] = Counter()
    seen: Counter[date] = Counter()
    for point in points:
        inbox[point.day] += point.inbox
        seen[point.day] += point.seen
    days = sorted(day for day, count in seen.items() if count)[-HISTORY_DAYS:]
    return tuple(
        HistoryDay(day=day, inbox=inbox[day], seen=seen[day], share=round(inbox[day] / seen[day], 4)) for day in days
    )
