"""The mailboxes' quotas of a day by the page, and one user's sums, from the sheets that the dispatchers left."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from datetime import date
from itertools import batched

from pydantic import Field

from mailtide.contracts import Contract
from mailtide.warmup import keys
from mailtide.warmup.contracts import MailboxId, UserId
from mailtide.warmup.objects import QuotaCounts, QuotaRow, QuotaSheet, QuotaStatus, RosterHeader
from mailtide.warmup.ports import Objects
from mailtide.warmup.store import read

SIDE_BY_SIDE = 16
"""Sheets that are read at once."""


class QuotaLine(Contract):
    """How one mailbox stood at its shard's last tick."""

    mailbox_id: MailboxId
    user_id: UserId
    target: int
    sent: int
    failed: int
    unknown: int
    status: QuotaStatus
    why: str = Field(default="", description="Why it writes less than its ramp says; empty when it does not.")


class QuotaPage(Contract):
    """Some mailboxes of a day."""

    day: date
    mailboxes: tuple[QuotaLine, ...]
    as_of_ms: int | None = Field(
        description="When the oldest figures that were looked at were taken (Unix time in ms); null when there are none."
    )
    next_cursor: str | None = Field(description="Ask with it for the next page; null on the last one.")


class UserDay(Contract):
    """One user's mailboxes of today together."""

    day: date
    user_id: UserId
    mailboxes: int
    planned_today: int
    emails_sent_today: int
    emails_failed_today: int
    emails_unknown_today: int
    quota_completion_rate: float = Field(description="Sent of today's planned mails, 0 … 1.")
    quota: QuotaCounts
    as_of_ms: int | None = Field(
        description="When the oldest of these figures were taken (Unix time in ms); null when there are none."
    )


def parse_cursor(text: str) -> tuple[int, int]:
    """Shard and row that a page begins with. ValueError when the text is no cursor."""
    shard, row = text.split(".")
    if not (shard.isdecimal() and row.isdecimal() and len(text) <= 16):
        raise ValueError("not a cursor")
    return int(shard), int(row)


def quota_page(
    bucket: Objects,
    header: RosterHeader,
    executor: Executor,
    *,
    status: QuotaStatus | None,
    user_id: str | None,
    start: tuple[int, int] = (0, 0),
    limit: int,
) -> QuotaPage:
    """The next `limit` mailboxes of a status and user (all when None), by shard."""
    found: list[QuotaLine] = []
    taken: list[int] = []
    for shard, sheet in _sheets(bucket, header, executor, start[0]):
        first = start[1] if shard == start[0] else 0
        taken.append(sheet.written_ms)
        for place, row in enumerate(sheet.rows[first:], first):
            if status not in {None, row.status} or user_id not in {None, row.user_id}:
                continue
            if len(found) == limit:
                return QuotaPage(
                    day=header.day, mailboxes=tuple(found), as_of_ms=min(taken), next_cursor=f"{shard}.{place}"
                )
            found.append(QuotaLine(**row._asdict()))
    return QuotaPage(day=header.day, mailboxes=tuple(found), as_of_ms=min(taken, default=None), next_cursor=None)


def user_day(bucket: Objects, header: RosterHeader, executor: Executor, user_id: str) -> UserDay:
    """The sums of one user; zeros when none of its mailboxes stands in the roster."""
    own = [
        (sheet.written_ms, row)
        for _, sheet in _sheets(bucket, header, executor, 0)
        for row in sheet.rows
        if row.user_id == user_id
    ]
    rows = [row for _, row in own]
    planned, sent = sum(row.target for row in rows), sum(row.sent for row in rows)
    return UserDay(
        day=header.day,
        user_id=user_id,
        mailboxes=len(rows),
        planned_today=planned,
        emails_sent_today=sent,
        emails_failed_today=sum(row.failed for row in rows),
        emails_unknown_today=sum(row.unknown for row in rows),
        quota_completion_rate=round(sent / planned, 6) if planned else 1.0,
        quota=_counts(rows),
        as_of_ms=min((taken_ms for taken_ms, _ in own), default=None),
    )


def _sheets(bucket: Objects, header: RosterHeader, executor: Executor, first: int) -> Iterator[tuple[int, QuotaSheet]]:
    for shards in batched(range(first, header.shards), SIDE_BY_SIDE, strict=False):
        for shard, sheet in zip(shards, executor.map(lambda n: _sheet(bucket, header.day, n), shards), strict=True):
            if sheet is not None:
                yield shard, sheet


def _sheet(bucket: Objects, day: date, shard: int) -> QuotaSheet | None:
    return read(bucket, keys.quotas(day, shard), QuotaSheet)


def _counts(rows: Iterable[QuotaRow]) -> QuotaCounts:
    counts = dict.fromkeys(QuotaCounts.model_fields, 0)
    for row in rows:
        counts[row.status] += 1
    return QuotaCounts(**counts)
