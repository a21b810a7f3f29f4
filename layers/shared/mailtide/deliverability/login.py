"""Whether a mailbox's server can be reached, is who it says, and lets the mailbox in. Nothing is sent."""

from typing import Literal, Protocol

from mailtide.doctor.finding import Finding, broken, ok, warning
from mailtide.warmup.classify import MailRefusedError, ReplyClass
from mailtide.warmup.contracts import Mailbox
from mailtide.warmup.providers import Provider

SERVER = "mail server"
LOGIN = "login"

type Reached = Literal[
    "reached", "no_address", "refused", "timeout", "certificate", "tls", "no_starttls", "not_smtp", "unavailable"
]


class MailServers(Protocol):
    """Speaks to the mail servers of mailboxes."""

    def reach(self, mailbox: Mailbox) -> Reached:
        """Connect, greet, protect the connection, say goodbye."""

    def log_in(self, mailbox: Mailbox) -> None:
        """What the sender does before a mail, then QUIT. MailRefusedError; SecretError when the secret cannot be opened."""


_REACHED: dict[Reached, tuple[str, str]] = {
    "no_address": ("has no address", "mend smtp_host and import the mailbox again"),
    "refused": (
        "refuses the connection",
        "mend smtp_port (587 with starttls, 465 with tls) and import the mailbox again",
    ),
    "timeout": (
        "did not answer in time",
        "look whether a firewall here keeps the port closed, and whether the server runs",
    ),
    "certificate": (
        "shows a certificate that does not prove its name",
        "mend smtp_host to the name that the provider gives; else the server needs another certificate",
    ),
    "tls": ("cannot agree on TLS 1.2 or later", "mend smtp_security: tls is from the first byte on, starttls is not"),
    "no_starttls": ("does not offer STARTTLS", "mend smtp_port and smtp_security and import the mailbox again"),
    "not_smtp": ("does not speak SMTP", "mend smtp_host, smtp_port or smtp_security and import the mailbox again"),
    "unavailable": ("greets with a refusal", "check again later; if it stays so, ask the provider"),
}


def server_check(mailbox: Mailbox, reached: Reached) -> Finding:
    """The verdict on the connection."""
    server = mailbox.smtp
    name = f"{server.host}:{server.port}"
    if reached != "reached":
        what, todo = _REACHED[reached]
        return broken(SERVER, name, f"{name} {what}.", todo)
    if server.security == "none":
        todo = "import the mailbox with smtp_security starttls or tls"
        return warning(SERVER, name, f"{name} answers, but the password goes there unprotected.", todo)
    return ok(
        SERVER, f"{name} answers, with {'TLS' if server.security == 'tls' else 'STARTTLS'} and a valid certificate."
    )


def login_check(mailbox: Mailbox, refused: MailRefusedError | None, provider: Provider | None) -> Finding:
    """The verdict on the login; `refused` is None when the server let the mailbox in."""
    if refused is None:
        return ok(LOGIN, f"{mailbox.smtp.host} let {mailbox.auth.username} in.")
    code = " ".join(part for part in (str(refused.code or ""), refused.enhanced or "") if part)
    said = f" ({code})" if code else ""
    meaning = refused.meaning or (provider.meaning(refused.code, refused.enhanced) if provider else None)
    known = f" {meaning}" if meaning else ""
    if refused.reply_class == ReplyClass.AUTH_PERMANENT:
        what = f"The credentials are refused{said}.{known}"
        todo = "import the mailbox with new credentials, then mailtide mailboxes resume"
        return broken(LOGIN, mailbox.mailbox_id, what, todo)
    what = f"The server does not let it in just now{said}.{known}"
    return broken(LOGIN, mailbox.mailbox_id, what, "check again in some minutes; the sender tries again by itself")
