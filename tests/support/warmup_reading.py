"""Mailboxes that are read, for the tests of the warm-up."""

from collections.abc import Iterable

from mailtide.warmup.contracts import Auth, Engagement, Mailbox, MailboxProfile, MailServer

SERVER = MailServer(host="localhost", port=1, security="none")
AUTH = Auth(kind="password", username="box", sealed="")


def with_imap(profiles: Iterable[MailboxProfile], engagement: Engagement | None = None) -> list[Mailbox]:
    """The same mailboxes, each with an IMAP server."""
    return [
        Mailbox(**each.model_dump(), smtp=SERVER, imap=SERVER, auth=AUTH, engagement=engagement or Engagement())
        for each in profiles
    ]
