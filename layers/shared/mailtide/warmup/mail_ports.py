"""What the sender needs beside the tables: mail servers, secrets, templates, and what a person has stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from mailtide.errors import MailtideError, TransientError
from mailtide.warmup.content import TemplateSet
from mailtide.warmup.contracts import Mailbox, SendMessage
from mailtide.warmup.objects import ControlFlags


class SecretError(MailtideError):
    """A sealed secret cannot be opened."""


class KeyRefusedError(TransientError):
    """KMS refuses the key that wraps all data keys: disabled, to be deleted, gone, or not for this process. No mailbox's fault,
    and nothing that passes by itself: a person must mend it."""


class MailSession(Protocol):
    """A connection that is logged in, for one mail at a time."""

    async def offer(self, sender: str, recipient: str) -> None:
        """MAIL FROM and RCPT TO. MailRefusedError."""

    async def data(self, content: bytes) -> None:
        """DATA and the mail; returns when the server has accepted it. MailRefusedError when it definitely has not,
        OutcomeUnknownError when nobody knows."""

    async def release(self, *, reusable: bool) -> None:
        """Give the connection back for the next mail of its mailbox, or close it. Never raises."""


class Mailer(Protocol):
    """Opens sessions, never more at once to one host than it may."""

    async def prepare(self, mailbox: Mailbox) -> None:
        """See before anything is claimed whether its secret can be opened now. KeyRefusedError, TransientError."""

    async def connect(self, mailbox: Mailbox) -> MailSession:
        """A session of this mailbox, new or reused. MailRefusedError; TransientError when the host has no connection free."""

    async def close(self) -> None:
        """End all idle connections. Never raises."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `Auth.sealed` holds."""

    password: SecretStr | None = None
    refresh_token: SecretStr | None = None
    client_id: str = ""
    client_secret: SecretStr | None = None


class Secrets(Protocol):
    """Sealed secrets of mailboxes. Errors never show what is in them."""

    def seal(self, user_id: str, mailbox_id: str, credentials: Credentials, *, beside: str | None = None) -> str:
        """Encrypt for exactly this user and mailbox; with `beside` under the data key of that sealed secret of the user."""

    def open(self, user_id: str, mailbox_id: str, sealed: str) -> Credentials:
        """Decrypt. SecretError when it was sealed for another user or mailbox, or is damaged; KeyRefusedError."""


class Templates(Protocol):
    """The texts of mails."""

    def of_user(self, user_id: str) -> TemplateSet:
        """A user's own templates, else the packaged ones; kept for some minutes."""


class PutBack(Protocol):
    """The part of mailtide.warmup.ports.MailQueue that the sender uses."""

    def send_mails(self, mails: Sequence[tuple[SendMessage, int]]) -> None:
        """See mailtide.warmup.ports.MailQueue."""


class Control(Protocol):
    """What a person has stopped."""

    def flags(self) -> ControlFlags:
        """At most some seconds old."""
