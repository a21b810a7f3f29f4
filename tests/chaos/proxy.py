"""HTTP servers between functions or machines and AWS, which pass requests on and break them by rule."""

import http.client
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

from localstack.processes import LOOPBACK
from tests.chaos.culprit import kill_peer
from tests.chaos.rules import FUNCTIONS, Kind, Role, Rule, RuleBook, Seen

ROLES: tuple[Role, ...] = (*FUNCTIONS, "machine")
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect", "date", "server"}
_REFUSALS: Mapping[Kind, tuple[int, str]] = {
    "500": (500, "InternalError"),
    "503": (503, "SlowDown"),
    "409": (409, "ConditionalRequestConflict"),
}
_FORGED = {
    *(
        "garbage manifest",
        "foreign manifest",
        "foreign part",
        "spoiled part",
        "delivery overwritten",
        "garbage database",
    ),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What AWS said."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Proxies:
    """One for each role. urls: where it listens; forge: what a machine delivers in a manifest's place, None for the true one."""

    upstream: str
    book: RuleBook
    urls: dict[Role, str] = field(default_factory=dict)
    forge: Callable[[Kind, str, bytes], bytes | None] = lambda _kind, _key, _body: None
    carried: int = 0
    """Requests that went through."""
    late: int = 0
    """Deliveries that are held back just now."""
    lock: Lock = field(default_factory=Lock)

    def hold(self, seconds: float) -> None:
        """Keep a delivery on its way for so long."""
        with self.lock:
            self.late += 1
        time.sleep(seconds)
        with self.lock:
            self.late -= 1


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body of an answer in one packet: in two, each answer would wait for a delayed acknowledgement.
    wbufsize = 65_536
    proxies: Proxies
    role: Role

    def _pass(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            # Whoever wrote it was ended in the middle: S3 takes no part of an object either.
            self.close_connection = True
            return
        seen = self._seen(body)
        rule = self.proxies.book.judge(seen)
        if rule is None:
            self._answer(self._ask(body))
            return
        handle = getattr(self, "_" + rule.kind.replace(" ", "_"), None)
        if rule.kind in _REFUSALS:
            self._refuse(rule, seen)
        elif rule.kind in _FORGED:
            self._forge(rule, seen, body)
        elif handle is not None:
            handle(rule, seen, body)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815 - http.server's names

    def _seen(self, body: bytes) -> Seen:
        path = urlsplit(self.path).path
        target = self.headers.get("X-Amz-Target", "")
        name = target.rpartition(".")[2] or unquote(path).lstrip("/").partition("/")[2]
        return Seen(
            role=self.role,
            method=self.command,
            name=name,
            text=self.path.encode() + (body if len(body) < 100_000 else b""),
            if_match="If-Match" in self.headers,
            if_none_match="If-None-Match" in self.headers,
        )

    def _struck(self, rule: Rule, seen: Seen, what: str | None = None) -> None:
        kind = what or rule.kind
        self.proxies.book.note(kind, f"{time.strftime('%H:%M:%S')} {rule}: {seen.method} {seen.name}")

    def _refuse(self, rule: Rule, seen: Seen) -> None:
        status, code = _REFUSALS[rule.kind]
        self._struck(
            rule, seen, f"bucket {rule.kind}" if not self.headers.get("X-Amz-Target") else f"queue {rule.kind}"
        )
        if self.headers.get("X-Amz-Target"):
            headers, text = {"Content-Type": "application/x-amz-json-1.0"}, f'{{"__type":"{code}","message":"planted"}}'
        else:
            headers, text = (
                {"Content-Type": "application/xml"},
                f"<Error><Code>{code}</Code><Message>planted</Message></Error>",
            )
        self._answer(Answer(status, headers, text.encode()))

    def _slow(self, rule: Rule, seen: Seen, body: bytes) -> None:
        self._struck(rule, seen)
        time.sleep(rule.delay_s)
        self._answer(self._ask(body))

    def _cut_before(self, rule: Rule, seen: Seen, body: bytes) -> None:
        del body
        self._struck(rule, seen)
        self.close_connection = True

    def _cut_after(self, rule: Rule, seen: Seen, body: bytes) -> None:
        self._ask(body)
        self._struck(rule, seen)
        self.close_connection = True

    def _cut_within(self, rule: Rule, seen: Seen, body: bytes) -> None:
        answer = self._ask(body)
        if len(answer.body) < 2:
            self._answer(answer)
            return
        self._struck(rule, seen)
        self._answer(answer, cut=True)

    def _kill_before(self, rule: Rule, seen: Seen, body: bytes) -> None:
        del body
        self._kill(rule, seen)

    def _kill_after(self, rule: Rule, seen: Seen, body: bytes) -> None:
        self._ask(body)
        self._kill(rule, seen)

    def _kill(self, rule: Rule, seen: Seen) -> None:
        if kill_peer(self.client_address[1]) is not None:
            self._struck(
                rule, seen, "machine killed at a request" if self.role == "machine" else f"function {rule.kind}"
            )
        self.close_connection = True

    def _lost_race(self, rule: Rule, seen: Seen, body: bytes) -> None:
        if self.proxies.book.deeds("touch", seen.name):
            self._struck(rule, seen, "412 by a lost race")
        self._answer(self._ask(body))

    def _deed_before(self, rule: Rule, seen: Seen, body: bytes) -> None:
        self._do(rule, seen)
        self._answer(self._ask(body))

    def _deed_after(self, rule: Rule, seen: Seen, body: bytes) -> None:
        answer = self._ask(body)
        self._do(rule, seen)
        self._answer(answer)

    def _do(self, rule: Rule, seen: Seen) -> None:
        if self.proxies.book.deeds(rule.deed, rule.org or ""):
            self._struck(rule, seen, rule.deed)

    def _late_delivery(self, rule: Rule, seen: Seen, body: bytes) -> None:
        self._struck(rule, seen)
        self.proxies.hold(rule.delay_s)
        self._answer(self._ask(body))

    def _forge(self, rule: Rule, seen: Seen, body: bytes) -> None:
        forged = self.proxies.forge(rule.kind, seen.name, body)
        if forged is not None:
            self._struck(rule, seen)
        self._answer(self._ask(body if forged is None else forged))

    def _ask(self, body: bytes) -> Answer:
        """Pass the request on, with the Host header that was signed."""
        upstream = http.client.HTTPConnection(urlsplit(self.proxies.upstream).netloc, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        try:
            # One that is kept alive stays open at MiniStack's end, thousands of them after an hour.
            own = {"Content-Length": str(len(body)), "Connection": "close"}
            upstream.request(self.command, self.path, body or None, headers | own)
            answer = upstream.getresponse()
            told = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
            if self.command == "HEAD":
                told["Content-Length"] = answer.getheader("Content-Length", "0")
            self.proxies.carried += 1
            return Answer(answer.status, told, answer.read())
        except (OSError, http.client.HTTPException):
            # MiniStack ends with the tests; whoever still asks then is told so.
            return Answer(503, {}, b"")
        finally:
            upstream.close()

    def _answer(self, answer: Answer, *, cut: bool = False) -> None:
        # Whoever asked may be dead by now.
        with suppress(OSError):
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in answer.headers and answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body[: len(answer.body) // 2] if cut else answer.body)
            self.wfile.flush()
        self.close_connection = self.close_connection or cut

    def log_message(self, *_: Any) -> None:  # noqa: ANN401 - http.server's shape
        """Say nothing on the tests' output."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, *_: Any) -> None:  # noqa: ANN401 - socketserver's shape
        """A connection that its peer has dropped is nothing to tell of."""


@contextmanager
def proxies_before(upstream: str, book: RuleBook) -> Iterator[Proxies]:
    """A proxy for each role before `upstream` (its URL); they pass everything on until the book has rules."""
    proxies = Proxies(upstream, book)
    with ExitStack() as held:
        for role in ROLES:
            server = _Server((LOOPBACK, 0), type("Handler", (_Handler,), {"proxies": proxies, "role": role}))
            held.callback(server.server_close)
            held.callback(server.shutdown)
            Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            proxies.urls[role] = f"http://{LOOPBACK}:{server.server_port}"
        yield proxies
