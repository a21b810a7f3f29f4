"""The parsers of records: what is right by the RFCs, what is wrong, and whatever a stranger may publish."""

import base64
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailtide.deliverability.dkim import DkimError, key_bits
from mailtide.deliverability.dmarc import DmarcError, is_dmarc, parse_dmarc
from mailtide.deliverability.spf_record import SpfError, is_spf, parse_spf
from mailtide.deliverability.tags import TagsError, parse_tags

STEADY = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
DER_BYTES = 294
"""Of an RSA key of 2,048 bits."""


@cache
def rsa_2048() -> rsa.RSAPublicKey:
    """Made when it is first needed: each process that collects tests would wait for it."""
    return rsa.generate_private_key(65_537, 2_048).public_key()


def der_2048() -> bytes:
    return rsa_2048().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def encoded(body: bytes) -> str:
    return base64.b64encode(body).decode()


@pytest.mark.parametrize(
    "terms",
    [
        "",
        " ",
        " -all",
        "  mx   -all ",
        " +mx a:mail.example/24 a/24//64 mx//128 ip4:192.0.2.0/24 ip6:2001:db8::/32 ?all",
        " INCLUDE:_spf.example.com ~ALL",
        " exists:%{i}._spf.%{d2} -all",
        " include:%{d} -all",
        " ptr ptr:example.com -all",
        " redirect=_spf.example.com",
        " redirect=_spf.example.com. exp=explain.%{d}",
        " unknown=anything/at:all -all",
        " ip4:192.0.2.1 ip6:::1 -all",
        " exists:%{ir}.%{l1r-}._spf.%{d}.example. -all",
    ],
)
def test_spf_that_is_right(terms: str) -> None:
    assert is_spf(f"v=spf1{terms}")
    parse_spf(f"v=spf1{terms}")


@pytest.mark.parametrize(
    "term",
    [
        "incl:example.com",
        "include",
        "include:",
        "include:localhost",
        "include:example.123",
        "include:example.com/24",
        "exists",
        "all:example.com",
        "ip4",
        "ip4:192.0.2.1/33",
        "ip4:192.0.2.1/024",
        "ip4:192.0.2.1/255.255.255.0",
        "ip4:192.0.2",
        "ip6:192.0.2.1",
        "ip6:fe80::1%eth0",
        "ip6:::1/129",
        "a:/24",
        "a/33",
        "mx//129",
        "exists:%{x}.example.com",
        "exists:%i.example.com",
        "redirect=",
        "redirect=a.example redirect=b.example",
        "exp=a.example exp=b.example",
        "--all",
        "+",
        "v=spf1\t-all",
        "müll",
    ],
)
def test_spf_that_is_wrong(term: str) -> None:
    with pytest.raises(SpfError):
        parse_spf(f"v=spf1 {term} -all")


@pytest.mark.parametrize("text", ["v=spf10 -all", "v=spf2 -all", "spf1", "", "v=spf1-all", "v=spf1\t-all"])
def test_what_is_no_spf(text: str) -> None:
    assert not is_spf(text)


def test_spf_terms() -> None:
    record = parse_spf("v=spf1 a mx:mail.example ~all include:never.looked.at redirect=nor.this")
    assert [(one.mechanism, one.value) for one in record.terms] == [("a", ""), ("mx", "mail.example"), ("all", "")]
    assert (record.ending, record.redirect) == ("~", None)
    assert parse_spf("v=spf1 redirect=b.example mx").redirect == "b.example"


@STEADY
@given(st.lists(st.sampled_from(["a", "mx", "ip4:192.0.2.1", "include:b.example", "x=y", "exists:%{i}.b.example"])))
def test_whatever_stands_before_all_its_end_is_found(terms: list[str]) -> None:
    record = parse_spf(" ".join(["v=spf1", *terms, "-all"]))
    assert record.ending == "-"
    assert len(record.terms) == 1 + sum(term != "x=y" for term in terms)


@STEADY
@given(st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=80))
def test_no_record_breaks_a_parser(text: str) -> None:
    for parse, error in (
        (lambda: parse_spf(f"v=spf1 {text}"), SpfError),
        (lambda: parse_dmarc(f"v=DMARC1; {text}"), DmarcError),
        (lambda: key_bits(text), DkimError),
        (lambda: key_bits(f"v=DKIM1; p={text}"), DkimError),
        (lambda: parse_tags(text), TagsError),
    ):
        said = ""
        try:
            parse()
        except error as refused:
            said = str(refused)
        assert said.isprintable()
        assert len(said) < 200


@STEADY
@given(st.binary(max_size=300), st.sampled_from(["rsa", "ed25519"]))
def test_no_key_breaks_the_parser(body: bytes, kind: str) -> None:
    try:
        found, bits, is_test = key_bits(f"k={kind}; p={encoded(body)}")
    except DkimError:
        return
    assert (found, bits, is_test) == ("ed25519", 256, False) or (found == "rsa" and bits > 0)


@STEADY
@given(st.integers(0, DER_BYTES - 1))
def test_a_key_that_lost_its_end_is_noticed(size: int) -> None:
    with pytest.raises(DkimError):
        key_bits(f"v=DKIM1; k=rsa; p={encoded(der_2048()[:size])}")


def test_keys() -> None:
    assert len(der_2048()) == DER_BYTES
    key = encoded(der_2048())
    assert key_bits(f"v=DKIM1; k=rsa; p={key}") == ("rsa", 2_048, False)
    assert key_bits(f"p={key[:100]} {key[100:]};t=s:y;") == ("rsa", 2_048, True), "folded, and marked as a test"
    bare = rsa_2048().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    assert key_bits(f"v=DKIM1; p={encoded(bare)}") == ("rsa", 2_048, False), "as some providers publish it"
    raw = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert key_bits(f"v=DKIM1; k=ed25519; p={encoded(raw)}") == ("ed25519", 256, False)


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ("v=DKIM1; p=", "revoked"),
        ("v=DKIM1; k=rsa", "no p="),
        ("v=DKIM2; p=AAAA", "first tag"),
        ("p=AAAA; v=DKIM1", "first tag"),
        ("v=DKIM1; p=AAA", "no base64"),
        ("v=DKIM1; p=ä", "no base64"),
        ("v=DKIM1; k=dsa; p=AAAA", "no kind of key"),
        ("v=DKIM1; k=ed25519; p=AAAA", "32 bytes"),
        ("v=DKIM1; p=AAAA; p=AAAA", "comes twice"),
        ("v=DKIM1; AAAA", "is no tag"),
        ("", "no p="),
    ],
)
def test_keys_that_cannot_be_used(record: str, sentence: str) -> None:
    with pytest.raises(DkimError, match=sentence):
        key_bits(record)


def test_a_key_of_another_kind() -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(DkimError, match="another kind"):
        key_bits(f"p={encoded(other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))}")


def test_policies() -> None:
    record = parse_dmarc("v=DMARC1; p=Reject; sp=none; rua=mailto:a@b.example, mailto:c@d.example!10m; pct=100;")
    assert (record.policy, record.of_subdomains) == ("reject", "none")
    assert record.reports_to == ("mailto:a@b.example", "mailto:c@d.example!10m")
    assert parse_dmarc("v=DMARC1;p=quarantine").of_subdomains == "quarantine"
    assert is_dmarc("v = DMARC1 ; p=none")
    assert not is_dmarc("v=dmarc1; p=none")
    assert not is_dmarc("v=DMARC12; p=none")


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ("v=DMARC1", "p= must be one of"),
        ("v=DMARC1; p=yes", "p= must be one of"),
        ("v=DMARC1; p=none; sp=no", "sp= must be one of"),
        ("v=DMARC1; p=none; pct=101", "pct= must be a number"),
        ("v=DMARC1; p=none; rua=a@b.example", "must begin with mailto:"),
        ("v=DMARC1; p=none; rua=mailto:b.example", "is no address"),
        ("v=DMARC1; p=none p=none; p=none", "comes twice"),
    ],
)
def test_policies_that_cannot_be_used(record: str, sentence: str) -> None:
    with pytest.raises(DmarcError, match=sentence):
        parse_dmarc(record)
