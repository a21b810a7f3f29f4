"""Mail providers as data: their servers, limits, ways to log in, how their refusals read, and what their rules say."""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from typing import Annotated, Literal

import yaml
from pydantic import Field, StringConstraints, TypeAdapter

from mailtide.contracts import Contract
from mailtide.warmup.classify import Dialect, ReplyClass, ReplyRule, meaning_of
from mailtide.warmup.contracts import ProviderId

type Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
KEPT_HOSTS = 4_096
ENGAGEMENT = (
    "Warm-up mail is read, taken out of junk and marked by a machine. Many providers' rules forbid that, or what it is for: each "
    "owner decides, having read them."
)
"""What every owner must know of a mailbox that is read."""

type LoginKind = Literal["xoauth2", "app_password", "password_for_now"]


class Fact(Contract):
    """One statement about a provider, whence it is, and the day on which that was last looked at."""

    text: Sentence
    source: Sentence
    checked: date

    @property
    def cited(self) -> str:
        """With whence it is, for people."""
        return f"{self.text} (Source: {self.source}; looked at on {self.checked}.)"


class MailsADay(Fact):
    """A mailbox's limit. most: mails a day, where the provider names a number."""

    most: Annotated[int, Field(ge=1)] | None = None


class Authentication(Fact):
    """How a mailbox may log in."""

    kinds: tuple[LoginKind, ...]


class Connections(Fact):
    """How many connections a mailbox may have open at once, where the provider names a number."""

    smtp: Annotated[int, Field(ge=1)] | None = None
    imap: Annotated[int, Field(ge=1)] | None = None


class Refusal(Contract):
    """What a reply of this code and enhanced code (RFC 3463) means with this provider.

    enhanced: or a range of its last part, 4.7.500-699. reply_class: where it is not what the table of replies makes of it.
    """

    code: Annotated[int, Field(ge=400, le=599)]
    enhanced: Annotated[str, StringConstraints(pattern=r"^[45]\.[0-9]{1,3}\.[0-9]{1,3}(-[0-9]{1,3})?$")]
    means: Sentence
    reply_class: ReplyClass | None = None
    source: Sentence | None = None
    """Where it is not the profile's `refusals_source`."""


class Provider(Contract):
    """What is known of a provider. mx, smtp: ends of the names of its hosts that take mail from strangers, and from its
    customers. selectors: of DKIM, that its customers usually have."""

    id: ProviderId
    name: Sentence
    mx: Annotated[tuple[str, ...], Field(min_length=1)]
    smtp: tuple[str, ...] = ()
    selectors: tuple[str, ...] = ()
    mails_a_day: MailsADay | None = None
    connections: Connections | None = None
    authentication: Authentication | None = None
    password_warning: Fact | None = None
    imap_password_warning: Fact | None = None
    policy: Fact | None = None
    engagement: Fact | None = None
    """What its rules say of a machine that reads, moves and marks mail."""
    refusals: tuple[Refusal, ...] = ()
    refusals_source: Sentence | None = None
    refusals_checked: date | None = None

    @cached_property
    def dialect(self) -> Dialect:
        """Its refusals, as mailtide.warmup.classify takes them."""
        return tuple(ReplyRule(one.code, one.enhanced, one.reply_class, one.means) for one in self.refusals)

    def meaning(self, code: int, enhanced: str | None) -> str | None:
        """What a refusal means here, if it is known."""
        return meaning_of(code, enhanced, self.dialect) or None

    def takes(self, host: str) -> bool:
        """Whether a server for mail from strangers is the provider's: whole labels are compared."""
        return _ends_in(host, self.mx)

    def submits(self, host: str) -> bool:
        """Whether a server for mail from customers is the provider's."""
        return _ends_in(host, self.smtp)


def _ends_in(host: str, ends: Iterable[str]) -> bool:
    return any(host == end or host.endswith(f".{end}") for end in ends)


@cache
def providers() -> tuple[Provider, ...]:
    """All of the packaged file."""
    text = files("mailtide.warmup.data").joinpath("providers.yaml").read_bytes()
    return TypeAdapter(tuple[Provider, ...]).validate_python(yaml.safe_load(text))


def provider_of(hosts: Iterable[str]) -> Provider | None:
    """The provider of a domain's MX hosts, the most preferred first; None for one that is not known."""
    return next((one for host in hosts for one in providers() if one.takes(host)), None)


@cache
def _by_id() -> Mapping[str, Provider]:
    return {one.id: one for one in providers()}


def provider_by_id(provider_id: str) -> Provider | None:
    """The provider of a mailbox; None for "" and for one that is not known (any more)."""
    return _by_id().get(provider_id)


def mails_a_day(provider_id: str) -> int | None:
    """The most mails that a provider lets a mailbox send on a day, where it names a number."""
    provider = provider_by_id(provider_id)
    return provider.mails_a_day.most if provider and provider.mails_a_day else None


@lru_cache(KEPT_HOSTS)
def provider_of_server(host: str) -> Provider | None:
    """The provider whose customers send by this host; None for one that is not known."""
    return next((one for one in providers() if one.submits(host.lower())), None)
