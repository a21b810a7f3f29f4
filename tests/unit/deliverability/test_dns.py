"""The resolver against a real server: every failure is told apart, and nothing that a server answers breaks it."""

import socket
import struct

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailtide.adapters.dns import MAX_RECORDS, MAX_TEXT_CHARS, DnsResolver, parse_resolver
from mailtide.deliverability.dns_answers import Texts
from mailtide.errors import InputError
from tests.support.dns_server import DnsServer
from tests.support.mail_servers import LOOPBACK

QUICK = 0.1
"""Seconds that a question may take whose server never answers."""


def test_answers(server: DnsServer, resolver: DnsResolver) -> None:
    server.text("a.example", "v=spf1 -all", "x" * 700)
    server.put("a.example", "MX", "20 B.example.", "10 a.example.")
    server.put("six.example", "AAAA", "2001:db8::1")
    server.put("alias.example", "CNAME", "a.example.")
    server.put("null.example", "MX", "0 .")
    assert set(resolver.texts("a.example").records) == {"v=spf1 -all", "x" * 700}, "strings of a record are joined"
    assert resolver.texts("alias.example") == resolver.texts("a.example")
    assert resolver.exchanges("a.example").records == ((10, "a.example"), (20, "b.example"))
    assert resolver.exchanges("null.example").records == ((0, ""),)
    assert resolver.address_status("six.example") == "found"


def test_failures_are_told_apart(server: DnsServer, resolver: DnsResolver) -> None:
    server.text("there.example", "x")
    server.fail("broken.example")
    server.fail("refused.example", dns.rcode.REFUSED)
    server.answer("silent.example", lambda _question, _is_tcp: None)
    assert resolver.exchanges("there.example").status == "no_record"
    assert resolver.exchanges("nowhere.example").status == "no_domain"
    assert resolver.exchanges("broken.example").status == "failed"
    assert resolver.exchanges("refused.example").status == "failed"
    assert DnsResolver(server.address, lifetime_s=QUICK).exchanges("silent.example").status == "unanswered"
    assert resolver.address_status("there.example") == "no_record"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind((LOOPBACK, 0))
        deaf = DnsResolver(nobody.getsockname(), lifetime_s=QUICK)
        assert deaf.texts("there.example").status == "unanswered"


def test_what_udp_cannot_carry_comes_by_tcp(server: DnsServer, resolver: DnsResolver) -> None:
    server.text("big.example", *(f"{number:04}" + "y" * 900 for number in range(20)))
    assert len(resolver.texts("big.example").records) == 20
    assert server.asked["big.example", "udp"] == server.asked["big.example", "tcp"] == 1


@pytest.mark.parametrize(
    "name", ["x" * 64 + ".example", "x." * 140 + "example", "a..example", "\\999.example", "ü.example"]
)
def test_names_that_no_zone_can_hold(resolver: DnsResolver, name: str) -> None:
    assert resolver.texts(name) == Texts("no_domain")


def test_an_alias_that_leads_in_a_circle(server: DnsServer, resolver: DnsResolver) -> None:
    server.put("round.example", "CNAME", "circle.example.")
    server.put("circle.example", "CNAME", "round.example.")
    assert resolver.texts("round.example").records == ()


def test_too_much_is_cut(server: DnsServer, resolver: DnsResolver) -> None:
    server.text("many.example", *(f"{number}" for number in range(MAX_RECORDS + 20)))
    server.text("long.example", "z" * 10_000)
    assert len(resolver.texts("many.example").records) == MAX_RECORDS
    assert resolver.texts("long.example").records == ("z" * MAX_TEXT_CHARS,)


def test_bytes_that_are_no_text(server: DnsServer, resolver: DnsResolver) -> None:
    server.put("bytes.example", "TXT", '"v=spf1 \\255\\000 -all"')
    assert resolver.texts("bytes.example").records == ("v=spf1 \\xff\x00 -all",)


@given(body=st.binary(max_size=120), keeps_header=st.booleans())
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    derandomize=True,
)
def test_whatever_a_server_answers(server: DnsServer, resolver: DnsResolver, body: bytes, keeps_header: bool) -> None:
    def wild(question: dns.message.Message, is_tcp: bool) -> bytes:
        answer = dns.message.make_response(question)
        if not is_tcp:
            # By UDP what is no answer would be waited out, as if a stranger had sent it.
            answer.flags |= dns.flags.TC
            return answer.to_wire()
        if not keeps_header:
            return body
        # The answer section is said to hold one record, and holds anything.
        answer.use_edns(False)
        right = answer.to_wire()
        return right[:6] + struct.pack("!HHH", 1, 0, 0) + right[12:] + body

    server.answer("wild.example", wild)
    found = resolver.texts("wild.example")
    assert found.status in {"found", "no_record", "failed"}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5_353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[::1]:5353", ("::1", 5_353)),
        ("[::1]", ("::1", 53)),
    ],
)
def test_resolvers(text: str, address: tuple[str, int]) -> None:
    assert parse_resolver(text) == address


@pytest.mark.parametrize(
    "text", ["", "dns.example", "1.2.3", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:", ":53", "[::1", "1::2::3"]
)
def test_what_is_no_resolver(text: str) -> None:
    with pytest.raises(InputError):
        parse_resolver(text)
