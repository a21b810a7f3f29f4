"""What every request passes before a resource sees it: sizes, then the token or the page's session. Nothing of a request is
logged here."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from typing import Any

from mailtide.access import MAX_TOKEN_LENGTH, Principal, TokenBook
from mailtide.api import sessions
from mailtide.api.problems import ProblemError

MAX_BODY_BYTES = 65_536
MAX_QUERY_LENGTH = 1_024
MAX_PATH_LENGTH = 512
OPEN = frozenset({("GET", "/api/health"), ("GET", "/")})
"""Method and path of what needs no token."""
ASSETS = "/assets/"
"""Below it lie the parts of the page, which need none either: they hold no data."""
PAGE_HEADER = ("x-mailtide", "page")
"""What the page sends with each order: no other site can, without being asked for leave first."""
_READING = frozenset({"GET", "HEAD"})

MAX_FAILURES = 20
FAILURES_SPAN_S = 60.0
_MOST_SOURCES = 1_000
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class TooManyFailures:
    """Counts wrong tokens by source address, in this process alone: it asks clients to slow down; guessing is hopeless anyway."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, source: str) -> None:
        """One more wrong token."""
        begun_s, failures = self._of(source)
        self._failures[source] = begun_s, failures + 1
        self._failures.move_to_end(source)
        while len(self._failures) > _MOST_SOURCES:
            self._failures.popitem(last=False)

    def wait_s(self, source: str) -> int:
        """Seconds until the next try is looked at; 0 for now."""
        begun_s, failures = self._of(source)
        return 0 if failures < MAX_FAILURES else max(1, int(begun_s + FAILURES_SPAN_S - self._monotonic_s()))

    def _of(self, source: str) -> tuple[float, int]:
        now_s = self._monotonic_s()
        begun_s, failures = self._failures.get(source, (now_s, 0))
        return (now_s, 0) if now_s - begun_s >= FAILURES_SPAN_S else (begun_s, failures)


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets requests in. `refused` is told of each token that is not known."""

    book: Callable[[], TokenBook]
    today: Callable[[], date]
    failures: TooManyFailures
    refused: Callable[[], None]
    now_s: Callable[[], float] = time.time

    def admit(self, event: Mapping[str, Any]) -> Principal | None:
        """Who asks; None where anybody may. ProblemError: 401, 403, 413, 414, 415 or 429."""
        check_shape(event)
        http = event["requestContext"]["http"]
        if _is_open(http["method"], event["rawPath"]):
            return None
        token = bearer_token(event.get("headers") or {})
        if token is None:
            return self._by_session(event)
        found = self.book().find(token, self.today()) if len(token) <= MAX_TOKEN_LENGTH else None
        if found is None:
            self.refused()
            raise self._refusal(str(http.get("sourceIp", "")))
        return found

    def _by_session(self, event: Mapping[str, Any]) -> Principal:
        cookie = sessions.cookie_of(event)
        if cookie is None:
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "Send a token: Authorization: Bearer …", _CHALLENGE)
        found = sessions.read(cookie, self.book(), self.today(), int(self.now_s()))
        if found is None:
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "The session has ended; sign in again.", _CHALLENGE)
        if event["requestContext"]["http"]["method"] not in _READING:
            check_origin(event.get("headers") or {})
        return found[1].principal

    def renewed(self, event: Mapping[str, Any]) -> str | None:
        """The cookie that extends the session of a request which was let in; None when that is not due, or there is none."""
        cookie = sessions.cookie_of(event) if bearer_token(event.get("headers") or {}) is None else None
        found = sessions.read(cookie, self.book(), self.today(), int(self.now_s())) if cookie else None
        longer = found[0].extended(int(self.now_s())) if found else None
        return str(longer.to_cookie(found[1], int(self.now_s()))) if found and longer else None

    def _refusal(self, source: str) -> ProblemError:
        """Whoever has a token is let in whatever others behind the same address do: only the answer to wrong ones changes."""
        wait_s = self.failures.wait_s(source)
        if wait_s:
            sentence = "There were too many requests with wrong tokens; wait a minute."
            return ProblemError(HTTPStatus.TOO_MANY_REQUESTS, sentence, {"Retry-After": str(wait_s)})
        self.failures.count(source)
        headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        return ProblemError(HTTPStatus.UNAUTHORIZED, "This token is not known, or it has expired.", headers)


def check_origin(headers: Mapping[str, str]) -> None:
    """ProblemError 403 for an order with a session that does not come from the page itself."""
    site = header(headers, "sec-fetch-site")
    if header(headers, PAGE_HEADER[0]) != PAGE_HEADER[1] or site not in {"", "same-origin"}:
        raise ProblemError(HTTPStatus.FORBIDDEN, "With a session, orders are taken from the page alone.")


def _is_open(method: str, path: str) -> bool:
    return (method, path) in OPEN or (method == "GET" and path.startswith(ASSETS))


def check_shape(event: Mapping[str, Any]) -> None:
    """ProblemError 413 or 414 for what no resource needs so long, 415 for a body that says it is no JSON."""
    if len(event.get("rawPath") or "") > MAX_PATH_LENGTH:
        raise ProblemError(HTTPStatus.REQUEST_URI_TOO_LONG, f"The path is longer than {MAX_PATH_LENGTH} characters.")
    if len(event.get("rawQueryString") or "") > MAX_QUERY_LENGTH:
        raise ProblemError(HTTPStatus.REQUEST_URI_TOO_LONG, f"The query is longer than {MAX_QUERY_LENGTH} characters.")
    body = event.get("body") or ""
    size_bytes = len(body) * 3 // 4 if event.get("isBase64Encoded") else len(body.encode())
    if size_bytes > MAX_BODY_BYTES:
        raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {MAX_BODY_BYTES} bytes.")
    kind = header(event.get("headers") or {}, "content-type").partition(";")[0].strip().lower()
    if body and kind not in {"", "application/json"}:
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send JSON: Content-Type: application/json.")


def header(headers: Mapping[str, str], wanted: str) -> str:
    """A header by its name in small letters, empty without one."""
    return next((value for name, value in headers.items() if name.lower() == wanted), "")


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """The token of the Authorization header, None without one."""
    given = header(headers, "authorization")
    scheme, _, token = given.strip().partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token else None
