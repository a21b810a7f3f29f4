"""Who may ask the API what: bearer tokens, of which only digests are kept, in one secret.

A token is `mt_` and 32 random bytes, so its digest needs no salt and cannot be turned back, and 144 bits of SHA-256 are
enough to know it by. Rows are short because Secrets Manager takes 64 KiB: room for one token of each of 1,000 users.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import Field

from mailtide.contracts import Contract
from mailtide.errors import InputError

type ScopeKind = Literal["operator", "user", "webhook"]

PREFIX = "mt_"
MAX_TOKEN_LENGTH = 128
MAX_BOOK_BYTES = 65_536
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
_EPOCH = date(1970, 1, 1)
_SUBJECT = r"^(operator|webhook|user:[A-Za-z0-9_-]{1,64})$"


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever holds a token: an operator (everything), one user (own mailboxes), or a sender of webhooks."""

    token_name: str
    scope: ScopeKind
    user_id: str | None = None

    @property
    def is_operator(self) -> bool:
        """Whether everything is allowed."""
        return self.scope == "operator"

    def may_see(self, user_id: str) -> bool:
        """Whether mailboxes of this user are its business."""
        return self.is_operator or (self.scope == "user" and self.user_id == user_id)


class TokenRow(NamedTuple):
    """One token in the secret; a JSON array there, so that many fit."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    subject: Annotated[str, Field(pattern=_SUBJECT)]
    """operator, webhook, or user: and the user's id."""
    digest: str
    created: int
    """UTC day, counted from 1970-01-01."""
    expires: int = 0
    """First UTC day on which it is refused; 0 for never."""


class TokenBook(Contract):
    """All tokens."""

    tokens: tuple[TokenRow, ...] = ()

    def find(self, token: str, today: date) -> Principal | None:
        """The holder of a token that has not expired; None for any other. The time it takes tells nothing of the digests."""
        presented = digest_of(token).encode()
        found: TokenRow | None = None
        for row in self.tokens:
            if hmac.compare_digest(presented, row.digest.encode()):
                found = row
        if found is None or 0 < found.expires <= day_number(today):
            return None
        kind, _, subject = found.subject.partition(":")
        scope: ScopeKind = "user" if kind == "user" else "webhook" if kind == "webhook" else "operator"
        return Principal(found.name, scope, subject or None)

    def add(self, name: str, subject: str, *, today: date, expires: date | None = None) -> tuple[Self, str]:
        """The book with one more token, and the token itself, which is kept nowhere. InputError when the name is taken."""
        if any(row.name == name for row in self.tokens):
            raise InputError(f"There is a token named {name!r} already.")
        token = PREFIX + secrets.token_urlsafe(32)
        row = TokenRow(name, subject, digest_of(token), day_number(today), day_number(expires) if expires else 0)
        book = type(self).model_validate({"tokens": (*self.tokens, row)})
        if len(book.to_text()) > MAX_BOOK_BYTES:
            raise InputError(f"The secret has no room for more than its {len(self.tokens)} tokens.")
        return book, token

    def revoke(self, name: str) -> Self:
        """The book without a token. InputError when there is none of that name."""
        left = tuple(row for row in self.tokens if row.name != name)
        if len(left) == len(self.tokens):
            raise InputError(f"There is no token named {name!r}.")
        return type(self)(tokens=left)

    def to_text(self) -> str:
        """What the secret holds: ASCII."""
        return self.model_dump_json()


def digest_of(token: str) -> str:
    """The first 144 bits of SHA-256 in base64url."""
    return urlsafe_b64encode(sha256(token.encode()).digest()[:18]).decode()


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - _EPOCH).days


def day_of_number(number: int) -> date | None:
    """The day of a number; None for 0."""
    return _EPOCH + timedelta(number) if number else None
