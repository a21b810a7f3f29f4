"""Providers by MX, and what owners are told of them."""

from datetime import date
from pathlib import Path

import pytest

from mailtide.deliverability.providers import provider_checks
from mailtide.warmup.classify import TABLE
from mailtide.warmup.contracts import Auth, Mailbox, MailServer, Ramp
from mailtide.warmup.providers import (
    Fact,
    Provider,
    mails_a_day,
    provider_by_id,
    provider_of,
    provider_of_server,
    providers,
)

PAGE = Path(__file__).resolve().parents[3] / "docs" / "mailbox-checks.md"
BY_ID = {one.id: one for one in providers()}


def box(*, max_daily: int = 30, kind: str = "password") -> Mailbox:
    url = None if kind == "password" else "https://token.example"
    return Mailbox(
        mailbox_id="box",
        user_id="user",
        address="box@sender.example",
        first_day=date(2026, 11, 21),
        ramp=Ramp(max_daily=max_daily),
        smtp=MailServer(host="mail.example", port=587, security="starttls"),
        auth=Auth.model_validate({"kind": kind, "username": "box", "sealed": "never opened", "token_url": url}),
    )


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("aspmx.l.google.com", "google"),
        ("gmail-smtp-in.l.google.com", "gmail"),
        ("alt1.gmail-smtp-in.l.google.com", "gmail"),
        ("smtp.google.com", "google"),
        ("acme-example.mail.protection.outlook.com", "microsoft"),
        ("acme-example.k-v1.mx.microsoft", "microsoft"),
        ("outlook-com.olc.protection.outlook.com", "outlook"),
        ("mta5.am0.yahoodns.net", "yahoo"),
        ("mx01.mail.icloud.com", "icloud"),
        ("mx2.zoho.eu", "zoho"),
        ("in1-smtp.messagingengine.com", "fastmail"),
        ("evil-google.com", None),
        ("google.com.evil.example", None),
        ("", None),
    ],
)
def test_a_provider_is_known_by_its_servers(host: str, provider: str | None) -> None:
    found = provider_of([host])
    assert (found.id if found else None) == provider


def test_the_most_preferred_server_counts() -> None:
    found = provider_of(["filter.example", "mx.zoho.com", "aspmx.l.google.com"])
    assert found is not None
    assert found.id == "zoho"
    assert provider_of([]) is None


@pytest.mark.parametrize("provider", providers(), ids=lambda one: one.id)
def test_every_fact_has_its_source_and_its_day(provider: Provider) -> None:
    facts = [fact for name in Provider.model_fields if isinstance(fact := getattr(provider, name), Fact)]
    assert facts
    assert all(fact.checked >= date(2026, 11, 22) and fact.text.endswith(".") for fact in facts)
    assert (provider.refusals == ()) == (provider.refusals_source is None) == (provider.refusals_checked is None)
    limit = provider.mails_a_day
    assert limit is None or limit.most is None or f"{limit.most:,}" in PAGE.read_text(), (
        "the page names the same number"
    )


def test_what_a_refusal_means_with_a_provider() -> None:
    assert "own password" in str(BY_ID["google"].meaning(535, "5.7.8"))
    assert "SMTP AUTH is turned off" in str(BY_ID["microsoft"].meaning(535, "5.7.139"))
    assert BY_ID["google"].meaning(535, None) is None
    assert BY_ID["zoho"].meaning(535, "5.7.8") is None


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("smtp.gmail.com", "gmail"),
        ("SMTP.Office365.com", "microsoft"),
        ("smtp-mail.outlook.com", "outlook"),
        ("smtp.zoho.eu", "zoho"),
        ("smtp.mail.yahoo.com", "yahoo"),
        ("mail.example", None),
        ("notsmtp.gmail.com.example", None),
        ("aspmx.l.google.com", None),
    ],
)
def test_a_server_for_customers_tells_the_dialect(host: str, provider: str | None) -> None:
    found = provider_of_server(host)
    assert (found.id if found else None) == provider


def test_no_dialect_contradicts_a_row_that_names_its_enhanced_code() -> None:
    named = {(rule.code, rule.enhanced) for rule in TABLE}
    own = [rule for one in providers() for rule in one.dialect if rule.reply_class is not None]
    assert own
    assert not [rule for rule in own if (rule.code, rule.enhanced) in named]


def test_a_mailboxs_provider_by_its_id() -> None:
    assert [mails_a_day(one) for one in ("gmail", "zoho", "", "gone")] == [500, None, None, None]
    assert {one.id for one in providers()} == {one.id for one in providers() if provider_by_id(one.id) is one}


def test_what_an_owner_is_told() -> None:
    said = {one.check: one for one in provider_checks(BY_ID["microsoft"], ["mx.example"], box())}
    assert said["way of logging in"].verdict == "warning"
    assert "final day is to be announced in the second half of 2027" in said["way of logging in"].what
    assert "dates move" in said["way of logging in"].todo
    assert said["provider's rules"].verdict == "warning"
    assert "looked at on 2026-" in said["provider's rules"].what
    said = {one.check: one for one in provider_checks(BY_ID["microsoft"], [], box(kind="xoauth2"))}
    assert said.keys() == {"provider", "provider's rules"}
    said = {one.check: one for one in provider_checks(BY_ID["gmail"], [], box(max_daily=501))}
    assert "501 mails a day; Google (Gmail, free) allows 500" in said["daily limit"].what
    assert "daily limit" not in {one.check for one in provider_checks(BY_ID["gmail"], [], box(max_daily=500))}


def test_a_provider_that_nobody_knows() -> None:
    (said,) = provider_checks(None, ["mx.\x1b[31mevil.example"], box())
    assert (said.verdict, said.what[:26]) == ("ok", "mx.?[31mevil.example is no")
    (said,) = provider_checks(None, [], None)
    assert "There is no MX" in said.what
