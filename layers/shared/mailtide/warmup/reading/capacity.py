"""How many readers a pool needs, and what its visits cost. Pure arithmetic, like mailtide.warmup.capacity."""

from math import ceil

from pydantic import BaseModel, ConfigDict

from mailtide.contracts import Contract
from mailtide.warmup.capacity import DAY_S, Prices
from mailtide.warmup.reading.contracts import MAX_VISITS_A_MESSAGE
from mailtide.warmup.settings import WarmupSettings

MESSAGES_A_REQUEST = 10


class VisitModel(BaseModel):
    """What the estimate assumes of one visit, and of one mail to a mailbox that is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    write_units: float = 2.5
    """Begin and end, whose item now and then is above 1 KB."""
    read_units: float = 2.0
    """The mailbox itself: a consistent read of up to 8 KB."""
    mail_write_units: float = 1.0
    """Where it was found."""
    mail_read_units: float = 5.0
    """Its sender, its sender's ledger when it is found and when it is expected, what was known of where it landed; and what the
    dispatcher asks about a reply to it."""
    fold_write_units: float = 2.5
    """Once a day a mailbox's health, on an item of 2 or 3 KB."""
    fold_read_units: float = 1.5
    """The mailbox, and its placements of the day."""
    function_gb: float = 1.0
    log_kb_a_call: float = 1.0


class VisitCapacity(Contract):
    """The answer for so many mailboxes that are read."""

    visits_a_day: int
    readers: int
    """Calls of the reader at once, each with WARMUP_READ_CONCURRENT mailboxes open."""
    write_units_per_day: int
    read_units_per_day: int
    dollars_a_day: float


def visit_capacity(
    *,
    mailboxes: int,
    users: int,
    mails_per_mailbox: int,
    seconds_per_visit: float,
    settings: WarmupSettings,
    prices: Prices | None = None,
    model: VisitModel | None = None,
) -> VisitCapacity:
    """What the visits to so many mailboxes with an IMAP server need, beside what the sending of mails does."""
    prices, model = prices or Prices(), model or VisitModel()
    visits = mailboxes * 1_440 / settings.read_minutes if settings.read_minutes else 0.0
    # Without visits nobody looks for the mails, either.
    mails = mailboxes * mails_per_mailbox if visits else 0
    readers = ceil(visits / DAY_S * seconds_per_visit / settings.read_concurrent)
    folded = mailboxes if visits else 0
    writes = visits * model.write_units + mails * model.mail_write_units + folded * model.fold_write_units
    reads = visits * model.read_units + mails * model.mail_read_units + folded * model.fold_read_units
    messages = visits / MAX_VISITS_A_MESSAGE
    calls = messages / MESSAGES_A_REQUEST
    dollars = (
        writes * prices.write_units_million / 1e6
        + reads * prices.read_units_million / 1e6
        + 3 * messages / MESSAGES_A_REQUEST * prices.queue_requests_million / 1e6
        + visits * seconds_per_visit / settings.read_concurrent * model.function_gb * prices.function_gb_s
        + calls * prices.function_requests_million / 1e6
        + calls * model.log_kb_a_call / 1e6 * prices.log_gb
        + min(users * readers * 24, visits) * prices.key_requests_10_thousand / 1e4
    )
    return VisitCapacity(
        visits_a_day=int(visits),
        readers=readers,
        write_units_per_day=int(writes),
        read_units_per_day=int(reads),
        dollars_a_day=round(dollars, 2),
    )
