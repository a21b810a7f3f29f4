"""Sessions of the page: a cookie that says whose token signed in and until when, signed, never the token itself.

The key of the signature comes from the digest of that very token, so a revoked token ends its sessions too, and no other
secret is kept. A cookie is `name:begun:ends:mac`; times are Unix seconds.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from typing import Any

from aws_lambda_powertools.shared.cookies import Cookie, SameSite

from mailtide.access import TokenBook, TokenRow

COOKIE = "__Host-mailtide"
"""The prefix makes browsers refuse it from other hosts, without Secure, and with a path or domain of its own."""
IDLE_S = 1_800
"""It ends when the page was not looked at for so long,"""
LONGEST_S = 43_200
"""and so long after signing in whatever happens."""
_MAX_LENGTH = 256


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in, since when and until when."""

    token_name: str
    begun_s: int
    ends_s: int

    def to_cookie(self, row: TokenRow, now_s: int) -> Cookie:
        """The cookie, signed with the digest of the token."""
        said = f"{self.token_name}:{self.begun_s}:{self.ends_s}"
        return _cookie(f"{said}:{_mac(row, said)}", max(0, self.ends_s - now_s))

    def extended(self, now_s: int) -> "Session | None":
        """The same with a later end; None while less than half of it is over, or when it may not last longer."""
        ends_s = min(now_s + IDLE_S, self.begun_s + LONGEST_S)
        return Session(self.token_name, self.begun_s, ends_s) if ends_s - self.ends_s >= IDLE_S // 2 else None


def begin(token_name: str, now_s: int) -> Session:
    """A new session."""
    return Session(token_name, now_s, now_s + IDLE_S)


def ended_cookie() -> Cookie:
    """What makes a browser forget the session."""
    return _cookie("", 0)


def cookie_of(event: Mapping[str, Any]) -> str | None:
    """The session's cookie in a function URL's event, None without one."""
    header = next((value for name, value in (event.get("headers") or {}).items() if name.lower() == "cookie"), "")
    for part in (*(event.get("cookies") or ()), header):
        try:
            found = SimpleCookie(part).get(COOKIE)
        except CookieError:
            continue
        if found is not None and found.value:
            return found.value
    return None


def read(text: str, book: TokenBook, today: date, now_s: int) -> tuple[Session, TokenRow] | None:
    """The session and the token's row; None for one that has ended, whose token is gone, or that was never signed here."""
    said, _, mac = text.rpartition(":")
    parts = said.split(":")
    if len(text) > _MAX_LENGTH or len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts[1:]):
        return None
    row = book.named(parts[0], today)
    if row is None or not hmac.compare_digest(_mac(row, said).encode(), mac.encode()):
        return None
    session = Session(parts[0], int(parts[1]), int(parts[2]))
    return (session, row) if now_s < session.ends_s else None


def _mac(row: TokenRow, said: str) -> str:
    return hmac.new(f"session/{row.digest}".encode(), f"{row.subject}/{said}".encode(), sha256).hexdigest()


def _cookie(value: str, max_age_s: int) -> Cookie:
    return Cookie(
        COOKIE, value, path="/", secure=True, http_only=True, max_age=max_age_s, same_site=SameSite.STRICT_MODE
    )
