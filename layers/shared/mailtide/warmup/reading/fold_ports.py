"""What the nightly fold needs of the mailboxes. Every method may also raise TransientError (mailtide.warmup.ports)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from mailtide.warmup.contracts import Mailbox, MailboxStatus


@dataclass(frozen=True, slots=True)
class KeptHealth:
    """What is kept of a mailbox, and the record (text) that it has followed from."""

    mailbox_id: str
    health: str
    pace: float = 1.0
    graduated_on: date | None = None
    held_back: str = ""
    before: str = ""


def health_of(mailbox: Mailbox) -> KeptHealth:
    """What is kept of it now."""
    return KeptHealth(mailbox.mailbox_id, mailbox.health, mailbox.pace, mailbox.graduated_on, mailbox.held_back)


class HealthStore(Protocol):
    """The part of the mailboxes that the fold reads and changes."""

    def get_many(self, mailbox_ids: Iterable[str]) -> dict[str, Mailbox]:
        """See mailtide.warmup.ports.MailboxStore."""

    def set_status(self, mailbox_id: str, status: MailboxStatus, reason: str) -> bool:
        """See mailtide.warmup.ports.MailboxStore."""

    def keep_health(self, kept: Sequence[KeptHealth]) -> list[str]:
        """Keep them where `before` still stands; the ids where it does not, or where there is no such mailbox any more."""
