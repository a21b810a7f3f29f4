"""Mailboxes tried out by IMAP, as visits read them: logged in to, looked into, and left again."""

import asyncio
import ssl

from mailtide.adapters.imap import ImapServers
from mailtide.adapters.imap_view import ImapView
from mailtide.adapters.oauth2 import AccessTokens, make_http_client
from mailtide.adapters.smtp import make_tls_context
from mailtide.warmup.contracts import Mailbox
from mailtide.warmup.mail_ports import Secrets

INBOX = "INBOX"
COMMANDS = 6
"""That a look needs at most: each may take the time-out."""


class ImapCheck:
    """Implements mailtide.deliverability.reading.MailReaders."""

    def __init__(self, secrets: Secrets, *, timeout_s: float, tls_context: ssl.SSLContext | None = None) -> None:
        """timeout_s: of each command."""
        self._secrets = secrets
        self._timeout_s = timeout_s
        self._tls_context = tls_context or make_tls_context()

    def look(self, mailbox: Mailbox) -> str | None:
        """See mailtide.deliverability.reading.MailReaders."""
        # A refused password and a secret that cannot be opened are one failure of a visit; here they are two.
        self._secrets.open(mailbox.user_id, mailbox.mailbox_id, mailbox.auth.sealed)
        view = asyncio.run(self._open(mailbox))
        try:
            view.look_into(INBOX)
            junk = view.junk_folder()
            if junk is not None:
                view.look_into(junk)
        finally:
            view.close()
        return junk

    async def _open(self, mailbox: Mailbox) -> ImapView:
        async with make_http_client(self._tls_context, self._timeout_s) as http:
            servers = ImapServers(
                self._secrets,
                AccessTokens(http),
                timeout_s=self._timeout_s,
                max_connections=1,
                tls_context=self._tls_context,
            )
            return await servers.open(mailbox, time_left_s=COMMANDS * self._timeout_s)
