"""Looks at single mailboxes for people: their quotas, from what the dispatchers left, and one mailbox's ledger."""

from collections.abc import Iterator
from datetime import date

from mailtide.contracts import Contract
from mailtide.warmup import keys
from mailtide.warmup.contracts import LedgerKey, MailboxId, RoundState, UserId, day_of
from mailtide.warmup.days import RosterStore
from mailtide.warmup.objects import QuotaRow, QuotaSheet, QuotaStatus, RosterHeader
from mailtide.warmup.ports import Ledger, Objects
from mailtide.warmup.quota import day_progress, quota_status
from mailtide.warmup.reading.shown import MailboxPlacement
from mailtide.warmup.roster import shard_of
from mailtide.warmup.store import read


class MailboxDay(Contract):
    """One mailbox today. It names no address."""

    mailbox_id: MailboxId
    user_id: UserId
    target: int
    sent: int
    failed: int
    unknown: int
    in_flight: int
    status: QuotaStatus
    next_ok_ms: int
    rounds: str
    """One letter a round (mailtide.warmup.contracts.RoundState)."""
    due_ms: tuple[int, ...]
    """When each round of the target is due."""
    bounces: int
    policy_refusals: int
    recent: int
    placement: MailboxPlacement | None = None
    """Where its mails of the last seven days landed, and what has followed."""


def quota_rows(
    bucket: Objects, day: date, *, status: QuotaStatus | None = None, user_id: str | None = None
) -> Iterator[QuotaRow]:
    """The mailboxes of a day as of each shard's last tick: all, or those of one status or user."""
    header = read(bucket, keys.roster(day), RosterHeader)
    for shard in range(header.shards if header else 0):
        sheet = read(bucket, keys.quotas(day, shard), QuotaSheet)
        for row in sheet.rows if sheet else ():
            if status in {None, row.status} and user_id in {None, row.user_id}:
                yield row


def mailbox_day(
    bucket: Objects, rosters: RosterStore, ledger: Ledger, now_ms: int, mailbox_id: str
) -> MailboxDay | None:
    """One mailbox today, its ledger read now; None when it stands in no roster of the day or no tick has seen it yet."""
    day = day_of(now_ms)
    header = rosters.header(day)
    if header is None:
        return None
    number = shard_of(mailbox_id, header.shards)
    sheet = read(bucket, keys.quotas(day, number), QuotaSheet)
    row = next((row for row in sheet.rows if row.mailbox_id == mailbox_id), None) if sheet else None
    shard = rosters.shard(day, number)
    if row is None or shard is None:
        return None
    member = next(member for member in shard.members if member.mailbox_id == mailbox_id)
    view = ledger.read(LedgerKey(day, number, mailbox_id))
    sent, moment_ms = view.sent if view else 0, now_ms - shard.day.start_ms
    expected = member.target * day_progress(member.open_time, moment_ms)
    untaken = RoundState.UNTAKEN.value * member.target
    return MailboxDay(
        mailbox_id=mailbox_id,
        user_id=row.user_id,
        target=member.target,
        sent=sent,
        failed=view.failed if view else 0,
        unknown=view.unknown if view else 0,
        in_flight=view.in_flight if view else 0,
        status=quota_status(sent=sent, target=member.target, expected=expected, moment_ms=moment_ms),
        next_ok_ms=view.next_ok_ms if view else 0,
        rounds=view.states + untaken[len(view.states) :] if view else untaken,
        due_ms=tuple(shard.day.start_ms + moment for moment in member.due),
        bounces=view.bounces if view else 0,
        policy_refusals=view.policy_refusals if view else 0,
        recent=view.recent if view else 0,
    )
