"""Mail servers tried out, as the sender would use them: reached, or logged in to, and left again."""

import asyncio
import socket
import ssl

import aiosmtplib

from mailtide.adapters.oauth2 import AccessTokens, make_http_client
from mailtide.adapters.smtp import SmtpMailer, make_tls_context
from mailtide.deliverability.login import Reached
from mailtide.warmup.contracts import Mailbox
from mailtide.warmup.mail_ports import Secrets

QUIT_TIMEOUT_S = 2.0


class SmtpCheck:
    """Implements mailtide.deliverability.login.MailServers."""

    def __init__(self, secrets: Secrets, *, timeout_s: float, tls_context: ssl.SSLContext | None = None) -> None:
        """timeout_s: of each command."""
        self._secrets = secrets
        self._timeout_s = timeout_s
        self._tls_context = tls_context or make_tls_context()

    def reach(self, mailbox: Mailbox) -> Reached:
        """See mailtide.deliverability.login.MailServers."""
        return asyncio.run(reach_server(mailbox, self._tls_context, self._timeout_s))

    def log_in(self, mailbox: Mailbox) -> None:
        """See mailtide.deliverability.login.MailServers."""
        # The mailer calls a refused password what a secret that cannot be opened is, too.
        self._secrets.open(mailbox.user_id, mailbox.mailbox_id, mailbox.auth.sealed)
        asyncio.run(self._log_in(mailbox))

    async def _log_in(self, mailbox: Mailbox) -> None:
        async with make_http_client(self._tls_context, self._timeout_s) as http:
            mailer = SmtpMailer(
                self._secrets,
                AccessTokens(http),
                timeout_s=self._timeout_s,
                host_concurrency=1,
                tls_context=self._tls_context,
            )
            session = await mailer.connect(mailbox)
            await session.release(reusable=False)


async def reach_server(mailbox: Mailbox, tls_context: ssl.SSLContext, timeout_s: float) -> Reached:
    """Connect as the mailbox's settings say, greet, protect the connection, QUIT."""
    server = mailbox.smtp
    client = aiosmtplib.SMTP(
        hostname=server.host,
        port=server.port,
        use_tls=server.security == "tls",
        start_tls=False,
        tls_context=tls_context,
        timeout=timeout_s,
        local_hostname=mailbox.domain,
    )
    try:
        await client.connect()
        await client.ehlo()
        if server.security == "starttls":
            if not client.supports_extension("starttls"):
                return "no_starttls"
            await client.starttls()
        await client.quit(timeout=QUIT_TIMEOUT_S)
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        return _why(error)
    finally:
        client.close()
    return "reached"


_KINDS: tuple[tuple[tuple[type[BaseException], ...], Reached], ...] = (
    ((ssl.SSLCertVerificationError,), "certificate"),
    ((ssl.SSLError,), "tls"),
    ((socket.gaierror, UnicodeError), "no_address"),
    ((TimeoutError, aiosmtplib.SMTPTimeoutError), "timeout"),
    ((ConnectionRefusedError,), "refused"),
)


def _why(error: BaseException) -> Reached:
    """The library wraps what happened in errors of its own: the innermost that is known counts."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = current.__cause__ or current.__context__
    for kinds, reached in _KINDS:
        if any(isinstance(one, kinds) for one in chain):
            return reached
    codes = [one.code for one in chain if isinstance(one, aiosmtplib.SMTPResponseException)]
    return "unavailable" if any(400 <= code < 600 for code in codes) else "not_smtp"
