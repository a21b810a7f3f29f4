"""One request to the Fly Machines API: sent once, and answered by a value or an error of our own."""

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import SecretStr, TypeAdapter, ValidationError

from mailtide.adapters.fly.errors import FlyUnansweredError, Refusal, error_of
from mailtide.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to connect, and to wait for the next bytes of an answer."""

    connect_s: float = 3.0
    read_s: float = 15.0

    def httpx(self, extra_read_s: float = 0.0) -> httpx.Timeout:
        """The same for httpx; extra_read_s for requests that the server holds open."""
        return httpx.Timeout(self.read_s + extra_read_s, connect=self.connect_s)


class BearerAuth(httpx.Auth):
    """Adds the token to a request at the last moment, so that no default header holds it."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Httpx's hook: one request, one header."""
        request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        yield request


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. action: its name in errors; path: below the app's machines, or below `place`; hold_s: how long the
    server may wait.

    Body and headers stay out of its repr: they hold presigned URLs and nonces.
    """

    action: str
    method: str
    path: str = ""
    query: Mapping[str, str] | None = None
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    hold_s: float = 0.0
    place: str = "/machines"


class Wire:
    """Sends requests to one app's machines; `transport` is the seam for tests."""

    def __init__(
        self, app: str, token: SecretStr, base_url: str, timeouts: Timeouts, transport: httpx.BaseTransport | None
    ) -> None:
        _check_token(token.get_secret_value())
        self._app = quote(app, safe="")
        self._token = token
        self._timeouts = timeouts
        self._http = httpx.Client(base_url=base_url, auth=BearerAuth(token), transport=transport)

    def __repr__(self) -> str:
        return f"Wire(app={self._app!r}, base_url={str(self._http.base_url)!r})"

    def close(self) -> None:
        """Close the pooled connections."""
        self._http.close()

    def send[T](self, ask: Ask, answer: TypeAdapter[T]) -> T:
        """Send once. Raises FlyUnansweredError without a readable answer, or the error that stands for its refusal."""
        response = self._exchange(ask)
        if response.status_code >= 400:
            raise error_of(_refusal(ask.action, response), self._token.get_secret_value())
        try:
            return answer.validate_json(response.content or b"null")
        except ValidationError:
            # The validation error quotes the answer, which may hold the environment: it is left out on purpose.
            raise FlyUnansweredError(f"Fly {ask.action}: HTTP {response.status_code}, unreadable answer") from None

    def _exchange(self, ask: Ask) -> httpx.Response:
        try:
            return self._http.request(
                ask.method,
                f"/apps/{self._app}{ask.place}{ask.path}",
                params=ask.query,
                json=ask.body,
                headers=ask.headers,
                timeout=self._timeouts.httpx(ask.hold_s),
            )
        except (httpx.TransportError, httpx.DecodingError) as error:
            # The cause carries the request with its Authorization header: only its type is told.
            raise FlyUnansweredError(f"Fly {ask.action}: no answer ({type(error).__name__})") from None


def _check_token(token: str) -> None:
    """Say so now, without the token; httpx would say so later, with it."""
    if not (token.isascii() and token.isprintable() and token.strip()):
        raise SettingsError("The Fly API token is empty or holds characters that no token has (a line break, say).")


def _refusal(action: str, response: httpx.Response) -> Refusal:
    try:
        body = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        body = None
    return Refusal(action, response.status_code, body, _retry_after_s(response.headers.get("Retry-After", "")))


def _retry_after_s(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() else None
