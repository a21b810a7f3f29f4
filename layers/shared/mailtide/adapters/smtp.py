"""Mail servers by aiosmtplib: TLS verified, one connection a mailbox and server, so many a host and no more."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import aiosmtplib
from pydantic import SecretStr

from mailtide.adapters.oauth2 import AccessTokens
from mailtide.errors import TransientError
from mailtide.warmup.classify import Dialect, MailRefusedError, OutcomeUnknownError, Phase, ReplyClass
from mailtide.warmup.contracts import Mailbox
from mailtide.warmup.mail_ports import Credentials, SecretError, Secrets
from mailtide.warmup.providers import Provider, provider_of_server

IDLE_CHECK_S = 5.0
"""A connection that was idle for longer is asked whether it still lives."""
IDLE_MAX_S = 120.0
QUIT_TIMEOUT_S = 2.0
HOST_WAIT_S = 25.0
"""How long a send waits for its turn at a host: those before it may be waiting for a window of the limits to open."""

type OpenSecret = Callable[[Mailbox], Awaitable[Credentials]]
type _Key = tuple[str, str, int]


@cache
def make_tls_context() -> ssl.SSLContext:
    """Certificates and host names are verified, nothing older than TLS 1.2 is spoken. One for the process: it is dear to make."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@dataclass(slots=True)
class _Idle:
    client: aiosmtplib.SMTP
    since_s: float


class SmtpSession:
    """Implements mailtide.warmup.mail_ports.MailSession."""

    def __init__(
        self, client: aiosmtplib.SMTP, dialect: Dialect, give_back: Callable[[aiosmtplib.SMTP, bool], Awaitable[None]]
    ) -> None:
        """dialect: of the provider that the server belongs to."""
        self._client = client
        self._dialect = dialect
        self._give_back = give_back
        self._is_open = True

    async def offer(self, sender: str, recipient: str) -> None:
        """See mailtide.warmup.mail_ports.MailSession."""
        await _asked("mail", self._client.mail(sender), self._dialect)
        await _asked("rcpt", self._client.rcpt(recipient), self._dialect)

    async def data(self, content: bytes) -> None:
        """See mailtide.warmup.mail_ports.MailSession."""
        try:
            await self._client.data(content)
        except aiosmtplib.SMTPDataError as error:
            if 400 <= error.code < 600:
                raise MailRefusedError.from_reply("data", error.code, error.message, self._dialect) from None
            if not 200 <= error.code < 300:
                raise OutcomeUnknownError("The answer after DATA is none.") from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError):
            raise OutcomeUnknownError("The answer after DATA did not come.") from None

    async def release(self, *, reusable: bool) -> None:
        """See mailtide.warmup.mail_ports.MailSession."""
        if self._is_open:
            self._is_open = False
            await self._give_back(self._client, reusable)


class SmtpMailer:
    """Implements mailtide.warmup.mail_ports.Mailer. For one event loop."""

    def __init__(
        self,
        secrets: Secrets,
        tokens: AccessTokens,
        *,
        timeout_s: float,
        host_concurrency: int,
        max_idle: int = 10,
        tls_context: ssl.SSLContext | None = None,
        host_wait_s: float = HOST_WAIT_S,
        run_blocking: Callable[[Callable[[], Credentials]], Awaitable[Credentials]] = asyncio.to_thread,
        provider_of: Callable[[str], Provider | None] = provider_of_server,
    ) -> None:
        """timeout_s: of each command. host_concurrency: sessions to one host at once. max_idle: connections
        that wait for the next mail of their mailbox; the oldest goes first. provider_of: whose host a mail server is."""
        self._secrets = secrets
        self._tokens = tokens
        self._timeout_s = timeout_s
        self._host_concurrency = host_concurrency
        self._max_idle = max_idle
        self._host_wait_s = host_wait_s
        self._tls_context = tls_context or make_tls_context()
        self._run_blocking = run_blocking
        self._provider_of = provider_of
        self._hosts: dict[str, asyncio.Semaphore] = {}
        self._idle: dict[_Key, _Idle] = {}

    async def prepare(self, mailbox: Mailbox) -> None:
        """See mailtide.warmup.mail_ports.Mailer. A damaged secret is the mailbox's own matter, and connect says so."""
        if _key_of(mailbox) not in self._idle:
            with suppress(SecretError):
                await self._opened_secret(mailbox)

    async def connect(self, mailbox: Mailbox) -> SmtpSession:
        """See mailtide.warmup.mail_ports.Mailer."""
        host = self._hosts.setdefault(mailbox.smtp.host, asyncio.Semaphore(self._host_concurrency))
        try:
            async with asyncio.timeout(self._host_wait_s):
                await host.acquire()
        except TimeoutError:
            raise TransientError("All connections that the host may have are in use.") from None
        try:
            client = await self._reused(mailbox) or await self._opened(mailbox)
        except BaseException:
            host.release()
            raise
        key = _key_of(mailbox)
        provider = self._provider_of(mailbox.smtp.host)
        # Several processes send for one mailbox: where its connections are numbered, none of them lies idle.
        is_limited = provider is not None and provider.connections is not None and bool(provider.connections.smtp)

        async def give_back(client: aiosmtplib.SMTP, is_reusable: bool) -> None:
            host.release()
            surplus: aiosmtplib.SMTP | None = client
            if is_reusable and client.is_connected and key not in self._idle and not is_limited:
                self._idle[key] = _Idle(client, time.monotonic())
                is_full = len(self._idle) > self._max_idle
                surplus = self._idle.pop(next(iter(self._idle))).client if is_full else None
            if surplus is not None:
                await _quit(surplus)

        return SmtpSession(client, provider.dialect if provider else (), give_back)

    async def close(self) -> None:
        """See mailtide.warmup.mail_ports.Mailer."""
        idle, self._idle = list(self._idle.values()), {}
        await asyncio.gather(*(_quit(one.client) for one in idle))

    async def _reused(self, mailbox: Mailbox) -> aiosmtplib.SMTP | None:
        idle = self._idle.pop(_key_of(mailbox), None)
        if idle is None:
            return None
        age_s = time.monotonic() - idle.since_s
        try:
            if age_s > IDLE_MAX_S or not idle.client.is_connected:
                raise aiosmtplib.SMTPServerDisconnected("idle for too long")
            if age_s > IDLE_CHECK_S:
                await idle.client.noop()
            return idle.client
        except (aiosmtplib.SMTPException, OSError):
            await _quit(idle.client)
            return None

    async def _opened(self, mailbox: Mailbox) -> aiosmtplib.SMTP:
        try:
            credentials = await self._opened_secret(mailbox)
        except SecretError:
            raise MailRefusedError(ReplyClass.AUTH_PERMANENT, "auth") from None
        if mailbox.auth.kind == "password":
            return await self._logged_in(mailbox, credentials.password)
        return await self._logged_in_by_token(mailbox, credentials)

    async def _opened_secret(self, mailbox: Mailbox) -> Credentials:
        return await self._run_blocking(
            lambda: self._secrets.open(mailbox.user_id, mailbox.mailbox_id, mailbox.auth.sealed)
        )

    async def _logged_in_by_token(self, mailbox: Mailbox, credentials: Credentials) -> aiosmtplib.SMTP:
        """A token that was kept may have been revoked: one fresh one is tried before the server's no counts."""
        url = mailbox.auth.token_url or ""
        token, was_kept = await self._tokens.get(mailbox.mailbox_id, url, credentials)
        try:
            return await self._logged_in(mailbox, token)
        except MailRefusedError as refused:
            if refused.reply_class != ReplyClass.AUTH_PERMANENT:
                raise
            self._tokens.drop(mailbox.mailbox_id)
            if not was_kept:
                raise
        token, _ = await self._tokens.get(mailbox.mailbox_id, url, credentials)
        return await self._logged_in(mailbox, token)

    async def _logged_in(self, mailbox: Mailbox, secret: SecretStr | None) -> aiosmtplib.SMTP:
        server, provider = mailbox.smtp, self._provider_of(mailbox.smtp.host)
        dialect = provider.dialect if provider else ()
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=self._tls_context,
            timeout=self._timeout_s,
            local_hostname=mailbox.domain,
        )
        try:
            await _asked("connect", client.connect(), dialect)
            await _asked("connect", client.ehlo(), dialect)
            await _asked("auth", _log_in(client, mailbox, secret.get_secret_value() if secret else ""), dialect)
        except BaseException:
            client.close()
            raise
        return client


async def _log_in(client: aiosmtplib.SMTP, mailbox: Mailbox, secret: str) -> None:
    """One try by one method: a second guess at a refused password only looks like an attack."""
    methods, username = client.server_auth_methods, mailbox.auth.username
    if mailbox.auth.kind == "xoauth2":
        await client.auth_xoauth2(username, secret)
    elif "plain" in methods:
        await client.auth_plain(username, secret)
    elif "login" in methods:
        await client.auth_login(username, secret)
    else:
        raise MailRefusedError(ReplyClass.AUTH_PERMANENT, "auth")


async def _asked(phase: Phase, command: Awaitable[Any], dialect: Dialect) -> None:
    """One command before DATA: everything that goes wrong means that the mail was not accepted."""
    try:
        await command
    except aiosmtplib.SMTPResponseException as error:
        if 400 <= error.code < 600:
            raise MailRefusedError.from_reply(phase, error.code, error.message, dialect) from None
        raise MailRefusedError(ReplyClass.TRANSIENT, phase) from None
    except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError):
        # What the library says may repeat what was sent.
        raise MailRefusedError(ReplyClass.TRANSIENT, phase) from None


async def _quit(client: aiosmtplib.SMTP) -> None:
    try:
        if client.is_connected:
            await client.quit(timeout=QUIT_TIMEOUT_S)
    except (aiosmtplib.SMTPException, OSError):
        pass
    finally:
        client.close()


def _key_of(mailbox: Mailbox) -> _Key:
    return mailbox.mailbox_id, mailbox.smtp.host, mailbox.smtp.port
