"""Mailboxes, days and placements for the tests of what follows from them."""

from collections.abc import Mapping
from datetime import date

from mailtide.warmup.contracts import Auth, Mailbox, MailServer, Ramp
from mailtide.warmup.reading.contracts import Placement, PlacementDay, ReportKind, Verdict
from mailtide.warmup.reading.record import DayTally, Landed
from tests.support.warmup_pools import FULL, LONG_AGO


def mailbox(number: int, *, user: str = "", ramp: Ramp = FULL, first_day: date = LONG_AGO) -> Mailbox:
    """One of a pool; each user has a company domain of its own."""
    user = user or f"user-{number}"
    server = MailServer(host="smtp.example", port=587, security="starttls")
    return Mailbox(
        mailbox_id=f"box-{number}",
        user_id=user,
        address=f"box-{number}@{user}.example",
        smtp=server,
        auth=Auth(kind="password", username="box", sealed="x" * 60),
        ramp=ramp,
        first_day=first_day,
    )


def tally(
    day: date,
    inbox: int = 0,
    junk: int = 0,
    missing: int = 0,
    *,
    provider: str = "google",
    bounces: int = 0,
    complaints: int = 0,
    sent: int | None = None,
) -> DayTally:
    """A day; `sent` is what was seen unless it is given. Each complaint is another user's."""
    landed = Landed(inbox, junk, missing)
    return DayTally(
        day=day,
        sent=landed.seen if sent is None else sent,
        bounces=bounces,
        complaints=complaints,
        complainers=tuple(f"user-{day:%m%d}-{number}" for number in range(complaints)),
        landed={provider: landed} if landed.seen else {},
    )


def placed(counts: Mapping[str, tuple[int, int, int]], **reports: int) -> PlacementDay:
    """What visits have found: inbox, junk and missing by provider; reports: bounce=2, of mails that nobody
    has looked for."""
    verdicts: tuple[Verdict, ...] = ("inbox", "junk", "missing")
    found = [
        Placement(verdict, provider)
        for provider, numbers in counts.items()
        for verdict, count in zip(verdicts, numbers, strict=True)
        for _ in range(count)
    ]
    kinds: tuple[ReportKind, ...] = ("bounce", "complaint")
    reported = [kind for kind in kinds for _ in range(reports.get(kind, 0))]
    return PlacementDay(placements=dict(enumerate(found)), reports=dict(enumerate(reported, len(found))))
