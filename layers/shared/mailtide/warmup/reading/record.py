"""What the nightly fold keeps of a mailbox, on its item: where its mails of a week landed, and what has followed from it.

Kept apart from the other contracts, since a Mailbox carries it as text: a sender that reads 3 million mailboxes a day has no
use for it, and a record that cannot be read must stop nobody's mails.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationError

from mailtide.contracts import Contract

WINDOW_DAYS = 7
HISTORY_DAYS = 30
KEPT_COMPLAINERS = 20

type Pacing = Literal["full", "slowed", "quarantined"]


class Landed(NamedTuple):
    """Mails by where they were first seen; a JSON array in the record."""

    inbox: int = 0
    junk: int = 0
    missing: int = 0

    @property
    def seen(self) -> int:
        """Mails that somebody looked for: the sample."""
        return self.inbox + self.junk + self.missing

    def plus(self, other: "Landed") -> "Landed":
        """Both together."""
        return Landed(self.inbox + other.inbox, self.junk + other.junk, self.missing + other.missing)


class DayTally(Contract):
    """One day of one mailbox's mails. A mail that nobody looked for counts in `sent` alone."""

    day: date
    sent: int = 0
    bounces: int = 0
    complaints: int = 0
    complainers: tuple[str, ...] = ()
    """The users whose mailboxes got what was complained of, as far as the reports name them; KEPT_COMPLAINERS at most."""
    landed: dict[str, Landed] = Field(default_factory=dict)
    """By the recipient's provider, "" where it is not known."""

    @property
    def total(self) -> Landed:
        """Of all providers."""
        return add_landed(self.landed.values())

    @property
    def is_silent(self) -> bool:
        """Whether it says nothing of where mails land."""
        return not (self.bounces or self.complaints or self.landed)


class ScorePoint(NamedTuple):
    """The score of one day: inbox of seen, over the seven days that it ends; a JSON array in the record."""

    day: date
    inbox: int
    seen: int


class MailboxHealth(Contract):
    """A mailbox after the fold of day `through`."""

    through: date
    state: Pacing = "full"
    since: date | None = None
    """First day in the state; None when it was never another than `full`."""
    reason: str = ""
    """One sentence: what the state rests on, as it was when it was last found so; "" when full."""
    judged_from: date | None = None
    """Only days from then on may quarantine it again: what it was quarantined for counts once."""
    missing_from: date | None = None
    """Only mails of days from then on speak against it by being missing: before, those of too many were."""
    graduated_on: date | None = None
    days: Annotated[tuple[DayTally, ...], Field(max_length=WINDOW_DAYS)] = ()
    """Ascending; those of the last seven that hold anything."""
    unread: str = ""
    """Why visits to the mailbox fail, one sentence; "" when they do not."""
    history: Annotated[tuple[ScorePoint, ...], Field(max_length=HISTORY_DAYS)] = ()
    """Ascending; days that ended a week in which mails were seen."""

    def week(self, through: date | None = None) -> DayTally:
        """The seven days that end with a day (the record's own) as one; its `day` is that one."""
        last = through or self.through
        return add_days((day for day in self.days if day.day > last - timedelta(days=WINDOW_DAYS)), last)

    def to_text(self) -> str:
        """As kept on the item: a kilobyte or two."""
        return self.model_dump_json(exclude_defaults=True)

    @classmethod
    def from_text(cls, text: str) -> "MailboxHealth | None":
        """What `to_text` made; None for nothing, and for what cannot be read: then the mailbox starts anew."""
        try:
            return cls.model_validate_json(text) if text else None
        except ValidationError:
            return None


def add_landed(parts: Iterable[Landed]) -> Landed:
    """The sum."""
    total = Landed()
    for part in parts:
        total = total.plus(part)
    return total


def merge_landed(parts: Iterable[dict[str, Landed]]) -> dict[str, Landed]:
    """The sums by provider."""
    total: dict[str, Landed] = {}
    for part in parts:
        for provider, landed in part.items():
            total[provider] = total.get(provider, Landed()).plus(landed)
    return dict(sorted(total.items()))


def add_days(days: Iterable[DayTally], last: date) -> DayTally:
    """Several days as one."""
    found = tuple(days)
    return DayTally(
        day=last,
        sent=sum(day.sent for day in found),
        bounces=sum(day.bounces for day in found),
        complaints=sum(day.complaints for day in found),
        complainers=tuple(sorted({user for day in found for user in day.complainers})),
        landed=merge_landed(day.landed for day in found),
    )
