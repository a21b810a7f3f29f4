"""Whether a mail that says it is the warm-up's own is so: asked of the day's pairing and of its sender's ledger.

A mail is ours only when its Message-ID names a send of these days that was for this mailbox, its sender's ledger shows
that send as sent, or as one whose end nobody knows yet, and From is that sender's address. A reply must answer what it was
planned to answer. Whoever forges all that has to know the pairing, and gains that one mail is treated as ours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple, Protocol

from mailtide.warmup.contracts import LedgerKey, LedgerView, Mailbox, RoundState
from mailtide.warmup.ids import SendId, message_id
from mailtide.warmup.ports import Ledger
from mailtide.warmup.reading.contracts import FoundAs, ReportKind
from mailtide.warmup.reading.days import Addressees, ReadingDay, ReadingDays
from mailtide.warmup.reading.ports import Directory
from mailtide.warmup.reading.recognise import Claim
from mailtide.warmup.reading.reports import Report

_OPEN = {RoundState.UNKNOWN, RoundState.DATA}
_WENT_OUT = {RoundState.SENT, RoundState.SENT_REPLY, *_OPEN}


class Told(NamedTuple):
    """What a report says of one of the mailbox's own mails."""

    key: LedgerKey
    round: int
    kind: ReportKind
    recipient_user: str
    """Whose mailbox the mail was for."""


@dataclass(frozen=True, slots=True)
class Ours:
    """A mail that is the warm-up's own."""

    send_id: SendId
    key: LedgerKey
    """Of its sender's ledger."""
    outcome: FoundAs
    is_open: bool
    """The ledger does not know yet that it was sent."""


class Lookups(Protocol):
    """What is asked."""

    @property
    def ledger(self) -> Ledger:
        """Of the senders."""

    @property
    def mailboxes(self) -> Directory:
        """Their addresses."""

    @property
    def days(self) -> ReadingDays:
        """Who writes to whom."""


class Verifier:
    """The questions of one visit, each asked of the tables once."""

    def __init__(self, lookups: Lookups, mailbox: Mailbox, today: date) -> None:
        """today: when the visit began; it may last beyond midnight."""
        self._lookups = lookups
        self._mailbox = mailbox
        self._near = {today + timedelta(days=days) for days in (-1, 0, 1)}
        self._days: dict[date, ReadingDay | None] = {}
        self._mailboxes: dict[str, Mailbox] = {mailbox.mailbox_id: mailbox}
        self._views: dict[LedgerKey, LedgerView | None] = {}

    def forget_ledgers(self) -> None:
        """Another folder is open: what lies in it may have been written after they were read."""
        self._views.clear()

    def ours(self, claims: Sequence[Claim]) -> dict[Claim, Ours]:
        """Those of the claims that are true. NotFoundError, TransientError."""
        own_id = self._mailbox.mailbox_id
        possible = []
        for claim in claims:
            found = self._addressees(claim.send_id)
            if found and own_id in found[1].mailbox_ids:
                possible.append((claim, *found))
        self._fetch(claim.send_id.mailbox_id for claim, _, _ in possible)
        judged = ((claim, self._judge(claim, day, asked)) for claim, day, asked in possible)
        return {claim: ours for claim, ours in judged if ours is not None}

    def report(self, report: Report) -> Told | None:
        """Which of this mailbox's own mails a report is about, and what it says of it; None when it is about none."""
        send_id = report.send_id
        if send_id.mailbox_id != self._mailbox.mailbox_id:
            return None
        if report.message_id != message_id(send_id, self._mailbox.domain):
            return None
        found = self._addressees(send_id)
        if found is None:
            return None
        day, asked = found
        key = day.key(send_id.mailbox_id)
        state = self._state(key, send_id.round)
        if state not in _WENT_OUT:
            return None
        possible = [
            asked.recipient if state != RoundState.SENT_REPLY else None,
            asked.original.mailbox_id if asked.original and state != RoundState.SENT else None,
        ]
        names = [name for name in possible if name is not None]
        self._fetch(names)
        boxes = [self._mailboxes[name] for name in names if name in self._mailboxes]
        told = ((report.about(box.address.lower()), box.user_id) for box in boxes)
        return next((Told(key, send_id.round, kind, user) for kind, user in told if kind is not None), None)

    def _judge(self, claim: Claim, day: ReadingDay, asked: Addressees) -> Ours | None:
        sender = self._mailboxes.get(claim.send_id.mailbox_id)
        if sender is None or claim.sender != sender.address.lower():
            return None
        if claim.message_id != message_id(claim.send_id, sender.domain):
            return None
        key = day.key(claim.send_id.mailbox_id)
        state = self._state(key, claim.send_id.round)
        outcome = self._outcome(claim, asked, state)
        return Ours(claim.send_id, key, outcome, state in _OPEN) if outcome else None

    def _outcome(self, claim: Claim, asked: Addressees, state: RoundState) -> FoundAs | None:
        """Which of the two mails a round may have become this is, if it can be either."""
        own_id = self._mailbox.mailbox_id
        if claim.in_reply_to is None:
            return "sent" if asked.recipient == own_id and state in {RoundState.SENT, *_OPEN} else None
        original = asked.original
        if original is None or original.mailbox_id != own_id or claim.in_reply_to != original:
            return None
        return "sent_reply" if state in {RoundState.SENT_REPLY, *_OPEN} else None

    def _addressees(self, send_id: SendId) -> tuple[ReadingDay, Addressees] | None:
        if send_id.day not in self._near:
            return None
        if send_id.day not in self._days:
            self._days[send_id.day] = self._lookups.days.get(send_id.day)
        day = self._days[send_id.day]
        asked = day.addressees(send_id) if day else None
        return (day, asked) if day and asked else None

    def _state(self, key: LedgerKey, number: int) -> RoundState:
        if key not in self._views:
            self._views[key] = self._lookups.ledger.read(key)
        view = self._views[key]
        return view.state(number) if view else RoundState.UNTAKEN

    def _fetch(self, mailbox_ids: Iterable[str]) -> None:
        wanted = sorted(set(mailbox_ids) - self._mailboxes.keys())
        if wanted:
            self._mailboxes |= self._lookups.mailboxes.get_many(wanted)
