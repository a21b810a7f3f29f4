"""MX of a domain (RFC 5321 section 5.1, RFC 7505): whether answers to its mails can arrive."""

from mailtide.deliverability.dns_answers import Dns, Exchanges, not_answered
from mailtide.deliverability.tags import shown
from mailtide.doctor.finding import Finding, broken, ok, warning

CHECK = "MX"
MAX_HOSTS = 5
"""Hosts whose addresses are looked up."""


def mx_check(domain: str, answer: Exchanges, dns: Dns) -> Finding:
    """The verdict on the MX records that were found."""
    if answer.status in {"failed", "unanswered"}:
        return not_answered(CHECK, domain, answer.status)
    if answer.status == "no_domain":
        what = f"The domain {domain} does not exist."
        return broken(CHECK, domain, what, "mend the address, or register the domain")
    if not answer.records:
        return _without(domain, dns)
    hosts = [host for _, host in answer.records]
    if not any(hosts):
        what = "It says that it takes no mail at all (null MX), so answers cannot arrive."
        return broken(CHECK, domain, what, "name the servers of your mail provider as MX")
    return _of_hosts(domain, hosts, dns)


def _without(domain: str, dns: Dns) -> Finding:
    todo = "publish the MX records that your mail provider names"
    status = dns.address_status(domain)
    if status == "found":
        what = "There are no MX records; answers go to the address of the domain itself, if that takes mail."
        return warning(CHECK, domain, what, todo)
    if status in {"failed", "unanswered"}:
        return not_answered(CHECK, domain, status)
    return broken(CHECK, domain, "There are no MX records and no address, so answers cannot arrive.", todo)


def _of_hosts(domain: str, hosts: list[str], dns: Dns) -> Finding:
    asked = {host: dns.address_status(host) for host in list(dict.fromkeys(hosts))[:MAX_HOSTS] if host}
    without = [host for host, status in asked.items() if status in {"no_domain", "no_record"}]
    unknown = [host for host, status in asked.items() if status in {"failed", "unanswered"}]
    if without:
        names = ", ".join(shown(host) for host in without)
        todo = "mend or remove these MX records; an MX names a host, never an address or an alias of one"
        if len(without) == len(asked):
            return broken(CHECK, domain, f"No mail server has an address: {names}.", todo)
        return warning(CHECK, domain, f"These mail servers have no address: {names}.", todo)
    if unknown:
        return not_answered(CHECK, ", ".join(shown(host) for host in unknown), asked[unknown[0]])
    count = f"{len(hosts)} server{'' if len(hosts) == 1 else 's'}"
    return ok(CHECK, f"{count}, first {shown(hosts[0])}.")
