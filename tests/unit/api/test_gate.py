"""The gate: sizes before tokens, tokens before everything, and patience with those who guess."""

from datetime import date
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.access import Principal, TokenBook
from mailtide.api.gate import FAILURES_SPAN_S, MAX_BODY_BYTES, MAX_FAILURES, Gate, TooManyFailures, bearer_token
from mailtide.api.problems import ProblemError

TODAY = date(2026, 11, 22)
BOOK, TOKEN = TokenBook().add("ops", "operator", today=TODAY)


class Watch:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


class Guard:
    """A gate, and how many tokens it counted as refused."""

    def __init__(self) -> None:
        self.refused = 0
        self.watch = Watch()
        self.gate = Gate(
            book=lambda: BOOK, today=lambda: TODAY, failures=TooManyFailures(self.watch), refused=self._count
        )

    def _count(self) -> None:
        self.refused += 1

    def ask(self, token: str | None, *, source: str = "192.0.2.1", **fields: object) -> Principal | HTTPStatus | None:
        event: dict[str, Any] = {
            "rawPath": "/api/warmup/quota",
            "rawQueryString": "",
            "headers": {} if token is None else {"Authorization": f"Bearer {token}"},
            "requestContext": {"http": {"method": "GET", "sourceIp": source}},
        }
        try:
            return self.gate.admit(event | fields)
        except ProblemError as problem:
            return problem.status


@pytest.fixture
def guard() -> Guard:
    return Guard()


def test_who_comes_in(guard: Guard) -> None:
    assert guard.ask(TOKEN) == Principal("ops", "operator")
    assert guard.ask(None) == 401
    assert guard.refused == 0
    assert guard.ask("mt_wrong") == 401
    assert guard.ask("x" * 10_000) == 401
    assert guard.refused == 2
    assert guard.ask(None, rawPath="/api/health") is None


def test_sizes_come_first(guard: Guard) -> None:
    assert guard.ask(None, body="x" * (MAX_BODY_BYTES + 1)) == 413
    assert guard.ask(None, body="é" * (MAX_BODY_BYTES // 2 + 1)) == 413
    assert guard.ask(TOKEN, body="QUJD" * (MAX_BODY_BYTES // 4), isBase64Encoded=True) == Principal("ops", "operator")
    assert guard.ask(None, rawPath="/" * 600) == 414
    assert guard.ask(None, rawQueryString="x" * 1_025) == 414


def test_a_body_is_json_or_says_nothing(guard: Guard) -> None:
    for kind, ends in (("application/json; charset=utf-8", None), ("text/plain", 415), ("multipart/form-data", 415)):
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
        expected = Principal("ops", "operator") if ends is None else ends
        assert guard.ask(None, headers=headers, body="{}") == expected
        assert guard.ask(None, headers=headers) == Principal("ops", "operator")


def test_whoever_guesses_is_told_to_wait_and_nobody_else(guard: Guard) -> None:
    for _ in range(MAX_FAILURES):
        assert guard.ask("mt_guess") == 401
    assert guard.ask("mt_guess") == 429
    assert guard.refused == MAX_FAILURES + 1
    # Somebody else behind the same address.
    assert guard.ask(TOKEN) == Principal("ops", "operator")
    assert guard.ask("mt_guess", source="192.0.2.2") == 401
    guard.watch.now_s += FAILURES_SPAN_S - 1
    assert guard.ask("mt_guess") == 429
    guard.watch.now_s += 1
    assert guard.ask("mt_guess") == 401


def test_the_memory_of_guessers_has_a_bound() -> None:
    failures = TooManyFailures(Watch())
    for number in range(2_000):
        failures.count(str(number))
    assert len(failures._failures) == 1_000


@given(st.dictionaries(st.sampled_from(["Authorization", "authorization", "X"]), st.text()))
def test_any_header_is_survived(headers: dict[str, str]) -> None:
    token = bearer_token(headers)
    assert token is None or token.strip() == token != ""
