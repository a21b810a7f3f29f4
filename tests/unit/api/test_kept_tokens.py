"""How long tokens are kept: a minute, ten while the secret cannot be read, and never beyond."""

from datetime import date

import pytest

from mailtide.access import TokenBook
from mailtide.adapters.token_secret import MAX_AGE_S, MAX_STALE_S, KeptTokens
from mailtide.errors import SettingsError, TransientError

TODAY = date(2026, 11, 22)


class Secret:
    """A secret whose readings are counted, and may fail."""

    def __init__(self) -> None:
        self.book = TokenBook()
        self.fails: Exception | None = None
        self.readings = 0

    def read(self) -> tuple[TokenBook, str | None]:
        self.readings += 1
        if self.fails:
            raise self.fails
        return self.book, "1"


class Watch:
    now_s = 5.0

    def __call__(self) -> float:
        return self.now_s


def test_a_new_or_revoked_token_counts_within_a_minute() -> None:
    secret, watch = Secret(), Watch()
    kept = KeptTokens(secret, watch)
    assert kept.book() == TokenBook()
    secret.book, token = secret.book.add("a", "operator", today=TODAY)
    watch.now_s += MAX_AGE_S - 1
    assert kept.book().find(token, TODAY) is None
    watch.now_s += 1
    assert kept.book().find(token, TODAY) is not None
    assert secret.readings == 2


def test_what_was_read_serves_ten_minutes_while_the_secret_is_away() -> None:
    secret, watch = Secret(), Watch()
    kept = KeptTokens(secret, watch)
    secret.book, token = secret.book.add("a", "operator", today=TODAY)
    kept.book()
    secret.fails = TransientError("away")
    watch.now_s += MAX_AGE_S
    for _ in range(5):
        assert kept.book().find(token, TODAY) is not None
    assert secret.readings == 2, "each request would wait for it"
    watch.now_s += MAX_STALE_S
    with pytest.raises(TransientError):
        kept.book()
    secret.fails = None
    assert kept.book().find(token, TODAY) is not None


def test_without_any_reading_there_is_no_answer() -> None:
    secret = Secret()
    secret.fails = TransientError("away")
    with pytest.raises(TransientError):
        KeptTokens(secret, Watch()).book()
    secret.fails = SettingsError("broken")
    with pytest.raises(SettingsError):
        KeptTokens(secret, Watch()).book()
