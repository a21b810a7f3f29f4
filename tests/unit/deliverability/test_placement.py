"""What is said of a mailbox's placement, and what owners must know where a machine reads it."""

from datetime import timedelta

import pytest

from mailtide.deliverability.providers import provider_checks
from mailtide.deliverability.reading import placement_check
from mailtide.warmup.contracts import Engagement, Mailbox, MailServer
from mailtide.warmup.providers import ENGAGEMENT, provider_by_id, providers
from mailtide.warmup.reading.health import after_day, held_back
from mailtide.warmup.reading.record import DayTally, Landed
from tests.support.placements import mailbox, tally
from tests.support.warmup_pools import DAY, settings

BOX = mailbox(1)
READ = BOX.model_copy(update={"imap": MailServer(host="imap.example", port=993, security="tls")})
QUIET = Engagement(read=False, rescue=False, flag=False)


def after(*days: DayTally) -> Mailbox:
    health = None
    for day in days:
        health = after_day(health, day, BOX, settings())
    assert health is not None
    changes = {
        "health": health.to_text(),
        "held_back": held_back(health, settings()),
        "graduated_on": health.graduated_on,
    }
    return BOX.model_copy(update=changes)


def test_nothing_is_said_where_nobody_has_looked() -> None:
    assert placement_check(BOX).what.startswith("Nobody has looked")
    assert placement_check(after(tally(DAY, bounces=1))).what.startswith("Nobody has looked")


def test_the_seven_days_are_said_with_their_sample() -> None:
    found = placement_check(after(tally(DAY, 9, 1), tally(DAY + timedelta(days=1), 9, 0, 1, bounces=1)))
    assert (found.verdict, found.what) == (
        "ok",
        "90 % of 20 mails in the inbox, 1 in junk, 1 missing, 1 came back, 0 complaints, in 7 days to 2026-11-22.",
    )


def test_who_writes_less_is_told_why_and_providers_stand_apart() -> None:
    day = tally(DAY, 85).model_copy(update={"landed": {"": Landed(5, 5), "google": Landed(55, 75)}})
    found = placement_check(after(day))
    assert found.verdict == "warning"
    assert (
        "(50 % of 10 mails in the inbox at Others; 42 % of 130 mails in the inbox at Google (Workspace))" in found.what
    )
    assert "It is slowed from 2026-11-23 on: 43 % of 140 mails in the inbox." in found.what


def test_who_has_graduated_is_told() -> None:
    assert placement_check(after(tally(DAY, 60))).what.endswith("It has graduated on 2026-11-21.")


def said(provider_id: str | None, box: Mailbox | None) -> dict[str, str]:
    provider = provider_by_id(provider_id) if provider_id else None
    return {one.check: one.what for one in provider_checks(provider, ["mx.example"], box) if one.verdict == "warning"}


@pytest.mark.parametrize("provider_id", [None, *(one.id for one in providers())])
def test_owners_are_told_of_automated_engagement_wherever_it_is_on(provider_id: str | None) -> None:
    assert said(provider_id, READ)["automated engagement"].startswith(ENGAGEMENT)
    for box in (None, BOX, READ.model_copy(update={"engagement": QUIET})):
        assert "automated engagement" not in said(provider_id, box)


def test_what_is_known_of_a_providers_rules_comes_with_its_source_and_day() -> None:
    for one in providers():
        what = said(one.id, READ)["automated engagement"]
        assert (one.engagement is not None) == ("(Source: " in what)
    assert "scope" in said("google", READ)["automated engagement"]
    assert said("google", READ)["automated engagement"].endswith("looked at on 2026-11-22.)")


@pytest.mark.parametrize("provider_id", ["microsoft", "outlook"])
def test_owners_are_told_that_microsoft_takes_no_passwords_for_imap(provider_id: str) -> None:
    by_token = READ.auth.model_copy(update={"kind": "xoauth2", "token_url": "https://token.example"})
    assert "for IMAP since" in said(provider_id, READ)["way of reading"]
    assert "way of reading" not in said(provider_id, BOX)
    assert "way of reading" not in said(provider_id, READ.model_copy(update={"auth": by_token}))
    assert "way of reading" not in said("zoho", READ)
