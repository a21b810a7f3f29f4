"""Tokens: what is kept of them, who they let in, and until when."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mailtide.access import MAX_BOOK_BYTES, PREFIX, Principal, TokenBook, TokenRow, day_number, digest_of
from mailtide.errors import InputError

TODAY = date(2026, 11, 22)


def test_a_token_is_known_by_its_digest_alone() -> None:
    book, token = TokenBook().add("grafana", "operator", today=TODAY)
    assert token.startswith(PREFIX)
    assert len(token) == len(PREFIX) + 43
    assert token not in book.to_text()
    assert TokenBook.model_validate_json(book.to_text()) == book
    assert book.find(token, TODAY) == Principal("grafana", "operator")
    assert book.find(token[:-1], TODAY) is None
    assert book.find("", TODAY) is None
    assert TokenBook().find(token, TODAY) is None


def test_scopes() -> None:
    book, user = TokenBook().add("a", "user:acme", today=TODAY)
    book, hook = book.add("b", "webhook", today=TODAY)
    found = book.find(user, TODAY)
    assert found == Principal("a", "user", "acme")
    assert (found.may_see("acme"), found.may_see("acme2"), found.is_operator) == (True, False, False)
    webhook = book.find(hook, TODAY)
    assert webhook == Principal("b", "webhook")
    assert not webhook.may_see("acme")


def test_an_organisation_and_a_user_of_the_same_name_are_two() -> None:
    book, token = TokenBook().add("a", "org:acme", today=TODAY)
    found = book.find(token, TODAY)
    assert found == Principal("a", "org", org="acme")
    assert (found.may_see_org("acme"), found.may_see_org("acme2"), found.is_operator) == (True, False, False)
    assert not found.may_see("acme")
    book, token = book.add("b", "user:acme", today=TODAY)
    user = book.find(token, TODAY)
    assert user is not None
    assert not user.may_see_org("acme")
    assert Principal("c", "operator").may_see_org("acme")


@pytest.mark.parametrize("subject", ["org:", "org:../x", "org:a b", "nobody", "user:", "operator:x"])
def test_what_is_no_scope(subject: str) -> None:
    with pytest.raises(ValidationError):
        TokenBook().add("a", subject, today=TODAY)


@given(st.integers(1, 400), st.integers(0, 800))
def test_a_token_ends_on_its_day(days: int, later: int) -> None:
    book, token = TokenBook().add("a", "operator", today=TODAY, expires=TODAY + timedelta(days))
    assert (book.find(token, TODAY + timedelta(later)) is not None) == (later < days)


def test_revoked_is_gone_and_names_are_unique() -> None:
    book, token = TokenBook().add("a", "operator", today=TODAY)
    with pytest.raises(InputError, match="already"):
        book.add("a", "webhook", today=TODAY)
    assert book.revoke("a").find(token, TODAY) is None
    with pytest.raises(InputError, match="no token named 'b'"):
        book.revoke("b")


def test_what_the_secret_can_hold() -> None:
    """A token of each of 1,000 users."""
    day = day_number(TODAY)
    rows = [TokenRow(f"acme-{number}", f"user:acme-{number}", digest_of(str(number)), day) for number in range(1_000)]
    book = TokenBook(tokens=tuple(rows))
    assert book.find("17", TODAY) == Principal("acme-17", "user", "acme-17")
    assert len(book.to_text()) <= MAX_BOOK_BYTES
    full = TokenBook(tokens=tuple(TokenRow(f"token-{n}", "operator", digest_of(str(n)), day) for n in range(1_500)))
    with pytest.raises(InputError, match="no room for more than its 1500 tokens"):
        full.add("more", "operator", today=TODAY)
