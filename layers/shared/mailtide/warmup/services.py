"""What the planning and dispatching of the warm-up is given."""

from dataclasses import dataclass

from mailtide.warmup.days import RosterStore
from mailtide.warmup.ports import Ledger, MailboxReader, MailQueue, Objects, WarmupClock
from mailtide.warmup.reading.fold_ports import HealthStore
from mailtide.warmup.reading.ports import Placements, ReadQueue, Visits
from mailtide.warmup.settings import WarmupSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingPorts:
    """What dispatch asks of the visits to mailboxes, and where it asks for more."""

    placements: Placements
    queue: ReadQueue
    visits: Visits | None = None
    """None: nobody is told of visits that fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanningServices:
    """The ports and the settings; `rosters` keeps what it has read, so one lives as long as its process."""

    bucket: Objects
    rosters: RosterStore
    mailboxes: MailboxReader
    ledger: Ledger
    queue: MailQueue
    clock: WarmupClock
    settings: WarmupSettings
    reading: ReadingPorts | None = None
    """None: no mailbox is read."""
    checks_domains: bool = False
    """Whether the DNS of the mailboxes' domains is looked at, every so many days as the settings say."""
    health: HealthStore | None = None
    """None: nothing follows from where mails land."""
