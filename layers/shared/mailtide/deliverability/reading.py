"""Whether a mailbox can be read by IMAP, and where its mails landed of late. Nothing is changed: folders are opened read-only."""

from typing import Protocol

from mailtide.doctor.finding import Finding, broken, ok, warning
from mailtide.errors import MailtideError
from mailtide.warmup.contracts import Mailbox
from mailtide.warmup.mail_ports import SecretError
from mailtide.warmup.reading.contracts import Failure
from mailtide.warmup.reading.health import in_words
from mailtide.warmup.reading.ports import VisitFailedError
from mailtide.warmup.reading.record import WINDOW_DAYS, MailboxHealth
from mailtide.warmup.reading.shown import provider_name

READING = "reading"
PLACEMENT = "placement"


class MailReaders(Protocol):
    """Reads mailboxes, as visits do."""

    def look(self, mailbox: Mailbox) -> str | None:
        """Log in by IMAP, open inbox and junk folder read-only, log out. The name of the junk folder, None when there is none.
        VisitFailedError; SecretError when the secret cannot be opened."""


_FAILED: dict[Failure, tuple[str, str]] = {
    "login": ("refuses the login", "look whether IMAP is turned on at the provider; import it with new credentials"),
    "unreachable": ("cannot be reached", "mend imap_host and imap_port (993 with tls, 143 with starttls)"),
    "certificate": (
        "shows a certificate that does not prove its name",
        "mend imap_host to the name the provider gives",
    ),
    "timeout": ("did not answer in time", "look whether a firewall here keeps the port closed"),
    "answer": ("does not speak IMAP", "mend imap_host, imap_port or imap_security"),
    "too_much": ("said more than a visit takes in", "look for folders with very many names"),
    "folder": ("does not open the inbox", "look into the mailbox at the provider"),
    "tables": ("was not asked", "check again"),
    "error": ("could not be read", "check again; if it stays so, report it"),
}


def reading_check(mailbox: Mailbox, readers: MailReaders) -> Finding:
    """The verdict on a visit that looks and leaves."""
    name = mailbox.mailbox_id
    if mailbox.imap is None:
        todo = "import it with imap_host, if where mails land is to be known and mail rescued from junk"
        return warning(READING, name, f"{name} names no IMAP server: its mail is not looked for.", todo)
    server = f"{mailbox.imap.host}:{mailbox.imap.port}"
    try:
        junk = readers.look(mailbox)
    except VisitFailedError as failed:
        what, todo = _FAILED[failed.failure]
        return broken(READING, name, f"{server} {what}.", f"{todo}, then check again")
    except SecretError:
        return broken(READING, name, "Its stored secret cannot be opened.", "import the mailbox again, with its secret")
    except MailtideError as error:
        return broken(READING, name, f"It could not be read just now: {error}", "mend that, then check again")
    if junk is None:
        todo = "look at the provider how its folder for junk is called; what it files there counts as inbox"
        return warning(READING, name, f"{server} let it in and shows its inbox, but no folder for junk is found.", todo)
    return ok(READING, f"{server} let it in; inbox and junk open read-only.")


def placement_check(mailbox: Mailbox) -> Finding:
    """Where its mails of the last seven days landed, as the nightly fold has it."""
    health = MailboxHealth.from_text(mailbox.health)
    if health is None or not health.week().total.seen:
        return ok(
            PLACEMENT, "Nobody has looked for its mails of late: recipients that are read, and a night, are needed."
        )
    what = _of_week(health)
    if mailbox.held_back:
        return warning(
            PLACEMENT, mailbox.mailbox_id, f"{what} It is {mailbox.held_back}.", "docs/placement.md says what may help"
        )
    graduated = f" It has graduated on {mailbox.graduated_on}." if mailbox.graduated_on else ""
    return ok(PLACEMENT, what + graduated)


def _of_week(health: MailboxHealth) -> str:
    week = health.week()
    total = week.total
    said = f"{in_words(total)}, {total.junk} in junk, {total.missing} missing"
    if week.bounces or week.complaints:
        said += f", {week.bounces} came back, {week.complaints} complaints"
    said += f", in {WINDOW_DAYS} days to {health.through}"
    seen = {provider: landed for provider, landed in week.landed.items() if landed.seen}
    if len(seen) > 1:
        said += f" ({'; '.join(f'{in_words(landed)} at {provider_name(one)}' for one, landed in seen.items())})"
    return f"{said}."
