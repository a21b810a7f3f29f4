"""What is said of domains: each fault has its verdict, and a sentence on what to do."""

import base64
from collections.abc import Sequence
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mailtide.adapters.dns import DnsResolver
from mailtide.deliverability.dkim import dkim_checks
from mailtide.deliverability.dmarc import dmarc_check
from mailtide.deliverability.mx import mx_check
from mailtide.deliverability.spf import spf_check
from mailtide.doctor.finding import Finding
from tests.support.dns_server import DnsServer


@cache
def key(bits: int) -> str:
    """Made when it is first needed: each process that collects tests would wait for it."""
    public = rsa.generate_private_key(65_537, bits).public_key()
    return base64.b64encode(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def with_keys(record: str) -> str:
    """KEY2048 and KEY1024 as keys; CUT2048 is one without its end."""
    for bits in (1_024, 2_048):
        if f"{bits}" in record:
            record = record.replace(f"KEY{bits}", key(bits)).replace(f"CUT{bits}", key(bits)[:-92])
    return record


def says(finding: Finding, verdict: str, part: str) -> None:
    assert (finding.verdict, part in finding.what) == (verdict, True), finding
    assert (finding.todo == "") == (verdict == "ok"), finding
    assert finding.what.endswith((".", "?")), finding


def chain(server: DnsServer, length: int) -> None:
    """s0.example includes s1.example, and so on: `length` look-ups."""
    for number in range(length):
        server.text(f"s{number}.example", f"v=spf1 include:s{number + 1}.example ~all")
    server.text(f"s{length}.example", "v=spf1 ip4:192.0.2.1 ~all")


@pytest.mark.parametrize(
    ("records", "verdict", "part"),
    [
        (["v=spf1 ip4:192.0.2.1 -all"], "ok", "ends in -all and takes 0 of 10"),
        (["V=SPF1 include:leaf.example a mx ~all"], "ok", "ends in ~all and takes 3 of 10"),
        (["v=spf1 redirect=leaf.example"], "ok", "ends in ~all and takes 1 of 10"),
        (["v=spf1 include:%{d}.leaf.example -all"], "ok", "%{d}.leaf.example not looked into"),
        (["v=spf1 redirect=%{d}.leaf.example"], "ok", "not looked into"),
        (["google-site-verification=x", "v=spf1 -all"], "ok", "takes 0"),
        ([], "broken", "There is no SPF record"),
        (["something else"], "broken", "There is no SPF record"),
        (["v=spf1 -all", "v=spf1 ~all"], "broken", "has 2 SPF records"),
        (["v=spf1 inclde:leaf.example -all"], "broken", "'inclde:leaf.example' is no mechanism"),
        (["v=spf1 include:nowhere.example -all"], "broken", "nowhere.example, which has no SPF record"),
        (["v=spf1 include:wrong.example -all"], "broken", "wrong.example, breaks the syntax"),
        (["v=spf1 include:twice.example -all"], "broken", "twice.example, has 2 SPF records"),
        (["v=spf1 include:d.example -all"], "broken", "circle: d.example → d.example"),
        (["v=spf1 include:back.example -all"], "broken", "circle: d.example → back.example → d.example"),
        (["v=spf1 redirect=back.example"], "broken", "circle"),
        (["v=spf1 include:failing.example -all"], "broken", "failing.example answer with an error"),
        (["v=spf1 include:s0.example ~all"], "broken", "more than 10 DNS look-ups"),
        (["v=spf1 include:s2.example ~all"], "warning", "takes 9 of 10"),
        (["v=spf1 " + "a " * 11 + "~all"], "broken", "more than 10 DNS look-ups"),
        (["v=spf1 +all"], "broken", "+all: everybody"),
        (["v=spf1 all"], "broken", "+all: everybody"),
        (["v=spf1 ip4:192.0.2.1 ?all"], "warning", "ends in ?all"),
        (["v=spf1 ip4:192.0.2.1"], "warning", "does not end in ~all or -all"),
        (["v=spf1 ptr ~all"], "warning", "uses ptr"),
    ],
)
def test_spf(server: DnsServer, resolver: DnsResolver, records: Sequence[str], verdict: str, part: str) -> None:
    chain(server, 10)
    server.text("leaf.example", "v=spf1 ip4:192.0.2.0/24 ~all")
    server.text("wrong.example", "v=spf1 ip4:192.0.2.300 ~all")
    server.text("twice.example", "v=spf1 -all", "v=spf1 ~all")
    server.text("back.example", "v=spf1 include:D.example. ~all")
    server.fail("failing.example")
    server.text("d.example", *records)
    says(spf_check("d.example", resolver), verdict, part)


def test_spf_asks_for_few_records_of_a_hostile_tree(server: DnsServer, resolver: DnsResolver) -> None:
    names = [f"h{number}.example" for number in range(40)]
    server.text("d.example", f"v=spf1 {' '.join(f'include:{name}' for name in names)} -all")
    for name in names:
        server.text(name, "v=spf1 -all")
    says(spf_check("d.example", resolver), "broken", "more than 10")
    assert server.asked.total() == 11


@pytest.mark.parametrize(
    ("records", "verdict", "part"),
    [
        (["v=DKIM1; k=rsa; p=KEY2048"], "ok", "Selector s1: RSA key of 2,048 bits."),
        (["v=DKIM1; k=rsa; p=KEY1024"], "warning", "1,024 bits; 2,048 are advised"),
        (["v=DKIM1; t=y; p=KEY2048"], "warning", "marked as a test"),
        (["v=DKIM1; p=CUT2048"], "broken", "no RSA key"),
        (["v=DKIM1; p="], "broken", "revoked"),
        ([], "broken", "no key at s1._domainkey.d.example"),
        (["v=DKIM1; p=KEY2048", "v=DKIM1; p="], "broken", "2 TXT records"),
    ],
)
def test_dkim(server: DnsServer, resolver: DnsResolver, records: Sequence[str], verdict: str, part: str) -> None:
    server.text("s1._domainkey.d.example", *map(with_keys, records))
    (finding,) = dkim_checks("d.example", ["s1"], ["never-asked"], resolver)
    says(finding, verdict, part)


def test_dkim_of_the_usual_selectors(server: DnsServer, resolver: DnsResolver) -> None:
    (finding,) = dkim_checks("d.example", [], ["one", "two"], resolver)
    says(finding, "warning", "under the usual names (one, two)")
    server.text("one._domainkey.d.example", "v=DKIM1; p=")
    server.put("two._domainkey.d.example", "CNAME", "two.provider.example.")
    server.text("two.provider.example", with_keys("v=DKIM1; p=KEY2048"))
    (finding,) = dkim_checks("d.example", [], ["one", "two"], resolver)
    says(finding, "ok", "Selector two")
    assert len(dkim_checks("d.example", ["one", "two", "one"], [], resolver)) == 2
    server.fail("one._domainkey.d.example")
    (finding,) = dkim_checks("d.example", [], ["one", "two"], resolver)
    says(finding, "broken", "answer with an error")


@pytest.mark.parametrize(
    ("name", "records", "verdict", "part"),
    [
        ("d.example", ["v=DMARC1; p=none; rua=mailto:x@d.example"], "ok", "Policy none: reports only."),
        ("d.example", ["v=DMARC1; p=reject; rua=mailto:x@d.example"], "ok", "Policy reject, with reports."),
        ("d.example", ["v=DMARC1; p=reject"], "warning", "nobody gets the reports"),
        ("d.example", ["v=DMARC1; rua=mailto:x@d.example"], "broken", "p= must be one of"),
        ("d.example", ["v=DMARC1; p=none", "v=DMARC1; p=reject"], "broken", "2 DMARC records"),
        ("d.example", ["something else"], "warning", "no DMARC policy"),
        (
            "a.b.d.example",
            ["v=DMARC1; p=reject; sp=quarantine; rua=mailto:x@d.example"],
            "ok",
            "quarantine, from d.example",
        ),
    ],
)
def test_dmarc(
    server: DnsServer, resolver: DnsResolver, name: str, records: Sequence[str], verdict: str, part: str
) -> None:
    server.text("_dmarc.d.example", *records)
    says(dmarc_check(name, resolver), verdict, part)


def test_dmarc_that_cannot_be_looked_up(server: DnsServer, resolver: DnsResolver) -> None:
    server.fail("_dmarc.d.example")
    says(dmarc_check("d.example", resolver), "broken", "_dmarc.d.example answer with an error")


@pytest.mark.parametrize(
    ("records", "verdict", "part"),
    [
        (["20 far.example.", "10 near.example."], "ok", "2 servers, first near.example."),
        (["10 near.example.", "20 gone.example."], "warning", "no address: gone.example."),
        (["10 gone.example."], "broken", "No mail server has an address: gone.example."),
        (["10 192.0.2.1."], "broken", "No mail server has an address: 192.0.2.1."),
        (["0 ."], "broken", "null MX"),
        (["10 failing.example."], "broken", "failing.example answer with an error"),
        ([], "warning", "no MX records; answers go to the address"),
    ],
)
def test_mx(server: DnsServer, resolver: DnsResolver, records: Sequence[str], verdict: str, part: str) -> None:
    for name in ("d.example", "near.example", "far.example"):
        server.put(name, "A", "192.0.2.7")
    server.fail("failing.example")
    server.put("d.example", "MX", *records)
    says(mx_check("d.example", resolver.exchanges("d.example"), resolver), verdict, part)


def test_mx_of_domains_without_mail(server: DnsServer, resolver: DnsResolver) -> None:
    server.text("texts.example", "nothing")
    server.fail("failing.example")
    for name, part in (
        ("texts.example", "no MX records and no address"),
        ("nowhere.example", "nowhere.example does not exist"),
        ("failing.example", "failing.example answer with an error"),
    ):
        says(mx_check(name, resolver.exchanges(name), resolver), "broken", part)
