"""The API on a port of this machine, for teams without Lambda: each request becomes the event that a function URL would send.

Requests are read and answered side by side, and carried out one at a time, as in a function; a proxy before it speaks TLS and
spreads requests over as many of these as are needed.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

from mailtide.api.gate import MAX_BODY_BYTES
from mailtide.api.handler import handler

TIMEOUT_S = 10.0
_TOO_LARGE = "x" * (MAX_BODY_BYTES + 1)
"""In place of a body that is not even read: the gate refuses it by its length."""
_LONGEST_LENGTH = 18
"""Digits of a Content-Length that are read: any number of so many is too large."""

_one_at_a_time = Lock()


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What Lambda would hand over beside the event."""

    function_name: str = "api"
    memory_limit_in_mb: int = 0
    invoked_function_arn: str = "arn:aws:lambda:local:000000000000:function:api"
    aws_request_id: str = field(default_factory=lambda: str(uuid4()))

    def get_remaining_time_in_millis(self) -> int:
        """Time that a request may take."""
        return 30_000


class _Request(BaseHTTPRequestHandler):
    timeout = TIMEOUT_S
    server_version = "mailtide"
    sys_version = ""
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        size_bytes = self._length()
        fits = (size_bytes or 0) <= MAX_BODY_BYTES
        body = base64.b64encode(self.rfile.read(size_bytes or 0)).decode() if fits else _TOO_LARGE
        # What was not read would be taken for the next request.
        is_clear = fits and size_bytes is not None and "Transfer-Encoding" not in self.headers
        self.close_connection = self.close_connection or not is_clear
        with _one_at_a_time:
            answered = handler(self._event(body, encoded=fits), RequestContext())
        content = str(answered["body"] or "").encode()
        self.send_response(int(answered["statusCode"]))
        for name, value in answered["headers"].items():
            self.send_header(name, str(value))
        for cookie in answered.get("cookies") or ():
            self.send_header("Set-Cookie", cookie)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _length(self) -> int | None:
        """Bytes of the body; None when the request does not say it in a way that everybody reads alike."""
        told = set(self.headers.get_all("Content-Length", ["0"]))
        length = told.pop()
        if told or not (length.isascii() and length.isdigit()):
            return None
        return int(length.lstrip("0")[:_LONGEST_LENGTH] or "0")

    def __getattr__(self, name: str) -> Callable[[], None]:
        """http.server asks for do_GET, do_POST …: the handler takes every method, and refuses in its own words."""
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _event(self, body: str, *, encoded: bool) -> dict[str, Any]:
        parts = urlsplit(self.path)
        return {
            "version": "2.0",
            "rawPath": parts.path,
            "rawQueryString": parts.query,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "queryStringParameters": dict(parse_qsl(parts.query, keep_blank_values=True)),
            "requestContext": {
                "http": {"method": self.command, "path": parts.path, "sourceIp": self.client_address[0]},
                "requestId": str(uuid4()),
                "stage": "$default",
            },
            "body": body,
            "isBase64Encoded": encoded,
        }

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """The handler writes one line a request; http.server's own would show the query."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is nothing to write down; what goes wrong within a request its handler has logged."""


def make_server(host: str, port: int) -> ThreadingHTTPServer:
    """A server that listens; port 0 takes a free one. OSError."""
    return _Server((host, port), _Request)
