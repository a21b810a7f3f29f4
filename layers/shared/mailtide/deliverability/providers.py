"""What an owner must know of a mailbox's provider before it warms up there."""

from collections.abc import Iterable

from mailtide.deliverability.tags import shown
from mailtide.doctor.finding import Finding, ok, warning
from mailtide.warmup.contracts import Mailbox
from mailtide.warmup.providers import ENGAGEMENT, Provider


def provider_checks(provider: Provider | None, hosts: Iterable[str], mailbox: Mailbox | None) -> list[Finding]:
    """Who the provider is, and what an owner must know of its limits and rules before it warms up there."""
    first = next(iter(hosts), None)
    if provider is None:
        who = f"{shown(first)} is none of the providers that are known" if first else "There is no MX to know it by"
        asked = ok("provider", f"{who}: ask yours for its limits and its rules on automated mail.")
        return [asked, *_of_reading(None, mailbox)]
    found = [ok("provider", f"{provider.name}.{_limits(provider)}")]
    if mailbox is not None:
        found += _of_mailbox(provider, mailbox)
    found += _of_reading(provider, mailbox)
    if provider.policy is not None:
        todo = "read its rules yourself, with your own lawyer if need be, before mailboxes there take part"
        found.append(warning("provider's rules", provider.id, provider.policy.cited, todo))
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
        found.append(warning("way of logging in", mailbox.mailbox_id, provider.password_warning.cited, todo))
    return found


def _of_reading(provider: Provider | None, mailbox: Mailbox | None) -> list[Finding]:
    """What there is to know where a machine reads the mailbox."""
    if mailbox is None or mailbox.imap is None:
        return []
    found, name = [], mailbox.mailbox_id
    if provider is not None and provider.imap_password_warning is not None and mailbox.auth.kind == "password":
        todo = "import it with refresh_token and token_url (XOAUTH2), or without imap_host"
        found.append(warning("way of reading", name, provider.imap_password_warning.cited, todo))
    if mailbox.engagement.is_any:
        known = provider.engagement if provider else None
        what = f"{ENGAGEMENT} {known.cited}" if known else ENGAGEMENT
        todo = "read its rules yourself; engage_read, engage_rescue and engage_flag of its line say what is done there"
        found.append(warning("automated engagement", name, what, todo))
    return found
