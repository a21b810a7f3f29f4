"""Mail providers by the MX of a domain: limits, ways to log in, how their refusals read, and what their rules say."""

from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache, cached_property, lru_cache
from importlib.resources import files
from typing import Annotated, Literal

import yaml
from pydantic import Field, StringConstraints, TypeAdapter

from mailtide.contracts import Contract
from mailtide.deliverability.tags import shown
from mailtide.doctor.finding import Finding, ok, warning
from mailtide.warmup.classify import Dialect, ReplyClass, ReplyRule, meaning_of
from mailtide.warmup.contracts import Mailbox, ProviderId

type Sentence = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
KEPT_HOSTS = 4_096

type LoginKind = Literal["xoauth2", "app_password", "password_for_now"]


class Fact(Contract):
    """One statement about a provider, whence it is, and the day on which that was last looked at."""

    text: Sentence
    source: Sentence
    checked: date


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
    policy: Fact | None = None
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
    text = files("mailtide.deliverability.data").joinpath("providers.yaml").read_bytes()
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


def provider_checks(provider: Provider | None, hosts: Iterable[str], mailbox: Mailbox | None) -> list[Finding]:
    """Who the provider is, and what an owner must know of its limits and rules before it warms up there."""
    first = next(iter(hosts), None)
    if provider is None:
        who = f"{shown(first)} is none of the providers that are known" if first else "There is no MX to know it by"
        return [ok("provider", f"{who}: ask yours for its limits and its rules on automated mail.")]
    found = [ok("provider", f"{provider.name}.{_limits(provider)}")]
    if mailbox is not None:
        found += _of_mailbox(provider, mailbox)
    if provider.policy is not None:
        todo = "read its rules yourself, with your own lawyer if need be, before mailboxes there take part"
        found.append(warning("provider's rules", provider.id, _cited(provider.policy), todo))
    return found


def _limits(provider: Provider) -> str:
    facts = [fact for fact in (provider.mails_a_day, provider.connections) if fact is not None]
    return "".join(f" {fact.text}" for fact in facts)


def _of_mailbox(provider: Provider, mailbox: Mailbox) -> list[Finding]:
    found = []
    limit = provider.mails_a_day.most if provider.mails_a_day else None
    if limit is not None and mailbox.ramp.max_daily > limit:
        what = f"Its ramp goes to {mailbox.ramp.max_daily:,} mails a day; {provider.name} allows {limit:,}."
        found.append(warning("daily limit", mailbox.mailbox_id, what, f"import it with max_daily of at most {limit}"))
    if provider.password_warning is not None and mailbox.auth.kind == "password":
        todo = "import it with refresh_token and token_url (XOAUTH2); dates move, so look at the source"
        found.append(warning("way of logging in", mailbox.mailbox_id, _cited(provider.password_warning), todo))
    return found


def _cited(fact: Fact) -> str:
    return f"{fact.text} (Source: {fact.source}; looked at on {fact.checked}.)"
