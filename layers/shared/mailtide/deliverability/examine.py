"""All checks of one mailbox, side by side, each with the time that it took."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic

from mailtide.deliverability.dkim import dkim_checks
from mailtide.deliverability.dmarc import dmarc_check
from mailtide.deliverability.dns_answers import Dns
from mailtide.deliverability.login import LOGIN, MailServers, login_check, server_check
from mailtide.deliverability.mx import mx_check
from mailtide.deliverability.providers import provider_checks
from mailtide.deliverability.reading import MailReaders, placement_check, reading_check
from mailtide.deliverability.spf import spf_check
from mailtide.doctor.finding import Finding, broken, ok, warning
from mailtide.errors import MailtideError
from mailtide.warmup.classify import MailRefusedError
from mailtide.warmup.contracts import Mailbox
from mailtide.warmup.mail_ports import SecretError
from mailtide.warmup.providers import Provider, provider_of

MAILBOX = "mailbox"


@dataclass(frozen=True, slots=True)
class Timed:
    """A finding, and how long its check took."""

    finding: Finding
    seconds: float


def mailbox_check(mailbox: Mailbox) -> Finding:
    """Whether it takes part."""
    name, why = mailbox.mailbox_id, f": {mailbox.status_reason.rstrip('.')}" if mailbox.status_reason else ""
    if mailbox.status == "active":
        return ok(MAILBOX, f"{name} of {mailbox.user_id} is active.")
    if mailbox.status == "paused":
        return warning(
            MAILBOX, name, f"{name} is paused{why}.", f"mailtide mailboxes resume {name}, when it is to go on"
        )
    todo = f"mend what the other checks say, then mailtide mailboxes resume {name}"
    return broken(MAILBOX, name, f"{name} is {mailbox.status}{why}.", todo)


def examine_domain(
    domain: str,
    selectors: Sequence[str],
    dns: Dns,
    mailbox: Mailbox | None,
    servers: MailServers | None,
    readers: MailReaders | None = None,
) -> list[Timed]:
    """What DNS, the provider and, for a mailbox of the pool, its mail servers and its mails of late say."""
    with ThreadPoolExecutor(5, thread_name_prefix="checks") as threads:
        start = monotonic()
        exchanges = dns.exchanges(domain)
        asked_s = monotonic() - start
        hosts = [host for _, host in exchanges.records if host]
        provider = provider_of(hosts)
        usual = provider.selectors if provider else ()
        under_way = [threads.submit(_timed, lambda: [mx_check(domain, exchanges, dns)], asked_s)]
        if exchanges.status not in {"no_domain", "unanswered"}:
            # Of a domain that is not there, or a resolver that does not answer, each check would say the same once more.
            under_way += [
                threads.submit(_timed, lambda: [spf_check(domain, dns)]),
                threads.submit(_timed, lambda: dkim_checks(domain, selectors, usual, dns)),
                threads.submit(_timed, lambda: [dmarc_check(domain, dns)]),
                threads.submit(_timed, lambda: provider_checks(provider, hosts, mailbox)),
            ]
        if mailbox is not None and servers is not None:
            under_way += _server_checks(threads, mailbox, servers, provider)
        if mailbox is not None and readers is not None:
            under_way.append(threads.submit(_timed, lambda: [reading_check(mailbox, readers)]))
        if mailbox is not None:
            under_way.append(threads.submit(_timed, lambda: [placement_check(mailbox)]))
        return [one for done in under_way for one in done.result()]


def _server_checks(
    threads: ThreadPoolExecutor, mailbox: Mailbox, servers: MailServers, provider: Provider | None
) -> list[Future[list[Timed]]]:
    def both() -> list[Timed]:
        reached = _timed(lambda: [server_check(mailbox, servers.reach(mailbox))])
        if reached[0].finding.verdict == "broken":
            return reached
        return reached + _timed(lambda: [_log_in(mailbox, servers, provider)])

    return [threads.submit(both)]


def _log_in(mailbox: Mailbox, servers: MailServers, provider: Provider | None) -> Finding:
    try:
        servers.log_in(mailbox)
    except MailRefusedError as refused:
        return login_check(mailbox, refused, provider)
    except SecretError:
        todo = "import the mailbox again, with its password or refresh token"
        return broken(LOGIN, mailbox.mailbox_id, "Its stored secret cannot be opened.", todo)
    except MailtideError as error:
        todo = "look whether these credentials may kms:Decrypt with the key of the secrets, then check again"
        what = f"Its stored secret could not be opened just now ({error})."
        return broken(LOGIN, mailbox.mailbox_id, what, todo)
    return login_check(mailbox, None, provider)


def _timed(check: Callable[[], list[Finding]], before_s: float = 0.0) -> list[Timed]:
    start = monotonic()
    findings = check()
    seconds = before_s + monotonic() - start
    return [Timed(finding, seconds) for finding in findings]
