"""Access tokens by OAuth 2 refresh tokens (RFC 6749 section 6), kept until shortly before they expire."""

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from pydantic import SecretStr

from mailtide.warmup.classify import MailRefusedError, ReplyClass
from mailtide.warmup.contracts import is_safe_url
from mailtide.warmup.mail_ports import Credentials

EXPIRY_MARGIN_S = 60.0
DEFAULT_LIFE_S = 300.0
"""For answers that do not say how long their token lives."""
MOST_KEPT = 10_000
"""Tokens in a process, the last ones: a long one has 2 KB, and one process may come to read every mailbox."""


@dataclass(frozen=True, slots=True)
class KeptToken:
    """An access token, and until when it serves, on the monotonic clock."""

    token: SecretStr
    until_s: float


def make_http_client(tls_context: ssl.SSLContext, timeout_s: float) -> httpx.AsyncClient:
    """A client for one event loop; close it with `async with`."""
    return httpx.AsyncClient(verify=tls_context, timeout=timeout_s)


class AccessTokens:
    """Fetches each mailbox's access token once in its life. For one event loop."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        kept: dict[str, KeptToken] | None = None,
        *,
        most_kept: int = MOST_KEPT,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """kept: where the tokens of this process are, by mailbox; it outlives the loop."""
        self._client = client
        self._most_kept = most_kept
        self._now_s = now_s
        self._kept = {} if kept is None else kept
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, mailbox_id: str, token_url: str, credentials: Credentials) -> tuple[SecretStr, bool]:
        """The token, and whether it was kept from before. MailRefusedError: permanent when the refresh token is refused."""
        async with self._locks.setdefault(mailbox_id, asyncio.Lock()):
            kept = self._kept.get(mailbox_id)
            if kept is not None and self._now_s() < kept.until_s:
                return kept.token, True
            kept = await self._refresh(token_url, credentials)
            self._kept.pop(mailbox_id, None)
            self._kept[mailbox_id] = kept
            while len(self._kept) > self._most_kept:
                del self._kept[next(iter(self._kept))]
            return kept.token, False

    def drop(self, mailbox_id: str) -> None:
        """The mail server did not take the token."""
        self._kept.pop(mailbox_id, None)

    async def _refresh(self, token_url: str, credentials: Credentials) -> KeptToken:
        if credentials.refresh_token is None or not is_safe_url(token_url):
            raise MailRefusedError(ReplyClass.AUTH_PERMANENT, "auth")
        form = {
            "grant_type": "refresh_token",
            "refresh_token": credentials.refresh_token.get_secret_value(),
            "client_id": credentials.client_id,
        }
        if credentials.client_secret is not None:
            form["client_secret"] = credentials.client_secret.get_secret_value()
        asked_s = self._now_s()
        try:
            answer = await self._client.post(token_url, data=form, follow_redirects=False)
        except httpx.InvalidURL:
            raise MailRefusedError(ReplyClass.AUTH_PERMANENT, "auth") from None
        except httpx.HTTPError:
            raise MailRefusedError(ReplyClass.TRANSIENT, "auth") from None
        if answer.status_code in {400, 401, 403}:
            raise MailRefusedError(ReplyClass.AUTH_PERMANENT, "auth", answer.status_code)
        return _read(answer, asked_s)


def _read(answer: httpx.Response, asked_s: float) -> KeptToken:
    try:
        fields = answer.raise_for_status().json()
        token = fields["access_token"]
        life_s = float(fields.get("expires_in", DEFAULT_LIFE_S))
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
        raise MailRefusedError(ReplyClass.TRANSIENT, "auth", answer.status_code) from None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise MailRefusedError(ReplyClass.TRANSIENT, "auth", answer.status_code)
    return KeptToken(SecretStr(token), asked_s + life_s - EXPIRY_MARGIN_S)
