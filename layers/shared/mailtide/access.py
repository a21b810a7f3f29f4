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

from mailtide.contracts import ORG_PATTERN, Contract
from mailtide.errors import InputError

type ScopeKind = Literal["operator", "org", "user", "webhook"]

PREFIX = "mt_"
MAX_TOKEN_LENGTH = 128
MAX_BOOK_BYTES = 65_536
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
_EPOCH = date(1970, 1, 1)
_SUBJECT = rf"^(operator|webhook|user:[A-Za-z0-9_-]{{1,64}}|org:{ORG_PATTERN[1:-1]})$"
_SCOPES: dict[str, ScopeKind] = {"operator": "operator", "org": "org", "user": "user", "webhook": "webhook"}


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever holds a token: an operator (everything), one organisation (its own runs), one user (own mailboxes), or a sender
    of webhooks."""

    token_name: str
    scope: ScopeKind
    user_id: str | None = None
    org: str | None = None

    @property
    def is_operator(self) -> bool:
        """Whether everything is allowed."""
        return self.scope == "operator"

    def may_see(self, user_id: str) -> bool:
        """Whether mailboxes of this user are its business."""
        return self.is_operator or (self.scope == "user" and self.user_id == user_id)

    def may_see_org(self, org: str) -> bool:
        """Whether this organisation and its runs are its business."""
        return self.is_operator or (self.scope == "org" and self.org == org)


class TokenRow(NamedTuple):
    """One token in the secret; a JSON array there, so that many fit."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    subject: Annotated[str, Field(pattern=_SUBJECT)]
    """operator, webhook, org: and the organisation's name, or user: and the user's id."""
    digest: str
    created: int
    """UTC day, counted from 1970-01-01."""
    expires: int = 0
    """First UTC day on which it is refused; 0 for never."""

    @property
    def principal(self) -> Principal:
        """Its holder."""
        kind, _, name = self.subject.partition(":")
        scope = _SCOPES[kind]
        return Principal(
            self.name, scope, user_id=name if scope == "user" else None, org=name if scope == "org" else None
        )

    def has_ended(self, today: date) -> bool:
        """Whether it has expired."""
        return 0 < self.expires <= day_number(today)


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
        return None if found is None or found.has_ended(today) else found.principal

    def named(self, name: str, today: date) -> TokenRow | None:
        """The row of a token that has not expired; None without one."""
        return next((row for row in self.tokens if row.name == name and not row.has_ended(today)), None)

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
