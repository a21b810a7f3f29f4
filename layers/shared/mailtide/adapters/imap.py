"""Mail servers by IMAPClient: TLS verified, one connection a visit, so many a host and in all, none after the visit's time."""

import asyncio
import imaplib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr

from mailtide.adapters.imap_connection import BoundedClient, Bounds
from mailtide.adapters.imap_view import ImapView, translated
from mailtide.adapters.oauth2 import AccessTokens
from mailtide.adapters.smtp import make_tls_context
from mailtide.errors import TransientError
from mailtide.warmup.classify import MailRefusedError, ReplyClass
from mailtide.warmup.contracts import Auth, Mailbox, MailServer
from mailtide.warmup.mail_ports import Credentials, SecretError, Secrets
from mailtide.warmup.reading.contracts import Failure
from mailtide.warmup.reading.ports import VisitFailedError

_LATER = {"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG", "OVERQUOTA"}
"""Response codes (RFC 5530) with which a login is refused for reasons that pass."""
_TOO_MANY = re.compile(r"too many (\w+ )?connections", re.IGNORECASE)
"""Google says so without a code of its own."""
_CODE = re.compile(r"\[([A-Z-]+)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

type RunBlocking = Callable[[Callable[[], Any]], Awaitable[Any]]


class ImapServers:
    """Implements mailtide.warmup.reading.ports.MailServers. For one event loop."""

    def __init__(
        self,
        secrets: Secrets,
        tokens: AccessTokens,
        *,
        timeout_s: float,
        max_connections: int,
        host_concurrency: int | None = None,
        tls_context: ssl.SSLContext | None = None,
        run_blocking: RunBlocking = asyncio.to_thread,
    ) -> None:
        """timeout_s: of each command. max_connections: to all hosts together, each of which needs a thread of its own.
        host_concurrency: to one host, whoever's mailboxes they are; four fifths of all unless told, so that a slow host leaves
        room for others. Providers' own limits are of a mailbox, which never has more than one connection."""
        self._secrets = secrets
        self._tokens = tokens
        self._timeout_s = timeout_s
        self._all = asyncio.Semaphore(max_connections)
        self._host_concurrency = host_concurrency or max(1, max_connections * 4 // 5)
        self._hosts: dict[str, asyncio.Semaphore] = {}
        self._tls_context = tls_context or make_tls_context()
        self._run_blocking = run_blocking

    @asynccontextmanager
    async def room(self, mailbox: Mailbox, *, time_left_s: float) -> AsyncIterator[None]:
        """See mailtide.warmup.reading.ports.MailServers."""
        of_host = self._hosts.setdefault(_server(mailbox).host.lower(), asyncio.Semaphore(self._host_concurrency))
        try:
            async with asyncio.timeout(max(0.0, time_left_s)):
                await of_host.acquire()
                try:
                    await self._all.acquire()
                except BaseException:
                    of_host.release()
                    raise
        except TimeoutError:
            raise TransientError("All connections that the host may have are in use.") from None
        try:
            yield
        finally:
            self._all.release()
            of_host.release()

    async def prepare(self, mailbox: Mailbox, *, time_left_s: float) -> None:
        """See mailtide.warmup.reading.ports.MailServers. A damaged secret is the mailbox's own matter, and open says so."""
        try:
            async with asyncio.timeout(time_left_s):
                await self._credentials(mailbox)
        except SecretError:
            return
        except TimeoutError:
            raise TransientError("KMS does not answer in time.") from None

    async def open(self, mailbox: Mailbox, *, time_left_s: float) -> ImapView:
        """See mailtide.warmup.reading.ports.MailServers."""
        bounds = Bounds(ends_in_s=time_left_s, timeout_s=self._timeout_s)
        try:
            # KMS and the resolver of names have time-outs of their own, which may be longer.
            async with asyncio.timeout(time_left_s):
                credentials = await self._credentials(mailbox)
                if mailbox.auth.kind == "password":
                    return await self._logged_in(mailbox, credentials.password, bounds)
                return await self._logged_in_by_token(mailbox, credentials, bounds)
        except SecretError:
            raise VisitFailedError("login") from None
        except TimeoutError:
            raise VisitFailedError("timeout") from None
        except MailRefusedError as refused:
            # Of the place where access tokens come from.
            is_refused = refused.reply_class == ReplyClass.AUTH_PERMANENT
            raise VisitFailedError("login" if is_refused else "unreachable") from None

    async def _credentials(self, mailbox: Mailbox) -> Credentials:
        opened: Credentials = await self._run_blocking(
            lambda: self._secrets.open(mailbox.user_id, mailbox.mailbox_id, mailbox.auth.sealed)
        )
        return opened

    async def _logged_in_by_token(self, mailbox: Mailbox, credentials: Credentials, bounds: Bounds) -> ImapView:
        """A token that was kept may have been revoked: one fresh one is tried before the server's no counts."""
        url = mailbox.auth.token_url or ""
        token, was_kept = await self._tokens.get(mailbox.mailbox_id, url, credentials)
        try:
            return await self._logged_in(mailbox, token, bounds)
        except VisitFailedError as failed:
            if failed.failure != "login":
                raise
            self._tokens.drop(mailbox.mailbox_id)
            if not was_kept:
                raise
        token, _ = await self._tokens.get(mailbox.mailbox_id, url, credentials)
        return await self._logged_in(mailbox, token, bounds)

    async def _logged_in(self, mailbox: Mailbox, secret: SecretStr | None, bounds: Bounds) -> ImapView:
        server, auth = _server(mailbox), mailbox.auth
        text = secret.get_secret_value() if secret else ""
        view: ImapView = await self._run_blocking(lambda: log_in(server, auth, text, self._tls_context, bounds))
        return view


def log_in(server: MailServer, auth: Auth, secret: str, tls_context: ssl.SSLContext, bounds: Bounds) -> ImapView:
    """One try by one method: a second guess at a refused password only looks like an attack. VisitFailedError."""
    with translated():
        bounds.begin()
        client = BoundedClient(server, tls_context, bounds)
    view = ImapView(client, bounds)
    try:
        with translated(client):
            bounds.begin()
            try:
                _authenticate(client, auth, secret)
            except imaplib.IMAP4.abort:
                raise
            except imaplib.IMAP4.error as error:
                raise VisitFailedError(_why(error)) from None
            bounds.begin()
            # What a server can do it says only after the login.
            client.capabilities()
    except BaseException:
        view.close()
        raise
    return view


def _authenticate(client: BoundedClient, auth: Auth, secret: str) -> None:
    capabilities = client.capabilities()
    if _CONTROL.search(auth.username + secret):
        raise VisitFailedError("login")
    if auth.kind == "xoauth2":
        answers = iter([f"user={auth.username}\x01auth=Bearer {secret}\x01\x01".encode()])
        # A refusal comes as a challenge with its reason, and waits for an empty answer.
        client.sasl_login("XOAUTH2", lambda _: next(answers, b""))
    elif b"AUTH=PLAIN" in capabilities:
        client.plain_login(auth.username, secret)
    elif b"LOGINDISABLED" in capabilities or not (auth.username + secret).isascii():
        raise VisitFailedError("login")
    else:
        client.login(_quoted(auth.username), secret)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _why(error: imaplib.IMAP4.error) -> Failure:
    said = str(error)
    code = _CODE.search(said)
    passes = (code and code[1] in _LATER) or _TOO_MANY.search(said)
    return "unreachable" if passes else "login"


def _server(mailbox: Mailbox) -> MailServer:
    if mailbox.imap is None:
        raise VisitFailedError("unreachable")
    return mailbox.imap
