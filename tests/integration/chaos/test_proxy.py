"""The proxies of the fault suite before a server of this test's own: what they break is broken, the rest goes through."""

import http.client
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest

from tests.chaos.proxy import Proxies, proxies_before
from tests.chaos.rules import Kind, Rule, RuleBook

CALLER = """
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], timeout=20)
connection.request("PUT", "/bucket/orgs/c1-a/lock.json", b"held", {"Host": "signed.example"})
print(connection.getresponse().read())
"""


class _Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stored: dict[str, tuple[bytes, str]]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.stored[self.path] = (body, self.headers["Host"])
        self._say(b"stored")

    def do_GET(self) -> None:
        self._say(self.stored[self.path][0])

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"e"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def stored() -> dict[str, tuple[bytes, str]]:
    return {}


@pytest.fixture
def proxies(stored: dict[str, tuple[bytes, str]]) -> Iterator[Proxies]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Upstream", (_Upstream,), {"stored": stored}))
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        with proxies_before(f"http://127.0.0.1:{server.server_port}", RuleBook()) as found:
            yield found
    finally:
        server.shutdown()
        server.server_close()


KEY = "/bucket/orgs/c1-a/lock.json"


def _ask(proxies: Proxies, method: str = "PUT", body: bytes = b"held") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(proxies.urls["finish"]).netloc, timeout=20)
    try:
        connection.request(method, KEY, body if method == "PUT" else None, {"Host": "signed.example"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_request_that_ends_in_its_middle_goes_nowhere(proxies: Proxies, stored: dict[str, tuple[bytes, str]]) -> None:
    """A function that is killed after the head of a PUT: an empty object in its place is nothing that S3 would make."""
    with socket.create_connection(("127.0.0.1", urlsplit(proxies.urls["finish"]).port or 0), timeout=20) as connection:
        connection.sendall(f"PUT {KEY} HTTP/1.1\r\nHost: signed.example\r\nContent-Length: 4\r\n\r\nhe".encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert stored == {}
    assert _ask(proxies) == (200, b"stored")


def test_without_rules_all_goes_through_with_the_host_that_was_signed(
    proxies: Proxies, stored: dict[str, tuple[bytes, str]]
) -> None:
    assert _ask(proxies) == (200, b"stored")
    assert stored == {KEY: (b"held", "signed.example")}
    assert _ask(proxies, "GET") == (200, b"held")
    assert not proxies.book.struck


@pytest.mark.parametrize(
    ("kind", "status", "code"), [("500", 500, b"InternalError"), ("503", 503, b"SlowDown"), ("409", 409, b"Conflict")]
)
def test_a_refusal_has_no_effect(
    proxies: Proxies, stored: dict[str, tuple[bytes, str]], kind: Kind, status: int, code: bytes
) -> None:
    proxies.book.arm(Rule(kind, "finish", "c1-a"))
    answered, body = _ask(proxies)
    assert answered == status
    assert code in body
    assert not stored
    assert _ask(proxies)[0] == 200
    assert proxies.book.struck == {f"bucket {kind}": 1}


@pytest.mark.parametrize(("kind", "effect"), [("cut before", False), ("cut after", True)])
def test_a_cut_connection_before_or_after_the_effect(
    proxies: Proxies, stored: dict[str, tuple[bytes, str]], kind: Kind, effect: bool
) -> None:
    proxies.book.arm(Rule(kind, "finish", "c1-a"))
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        _ask(proxies)
    assert (KEY in stored) == effect


def test_an_answer_that_breaks_off(proxies: Proxies) -> None:
    _ask(proxies)
    proxies.book.arm(Rule("cut within", "finish", "c1-a", "read"))
    with pytest.raises(http.client.IncompleteRead):
        _ask(proxies, "GET")


@pytest.mark.parametrize(("kind", "effect"), [("kill before", False), ("kill after", True)])
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_caller_is_killed_before_or_after_the_effect(
    proxies: Proxies, stored: dict[str, tuple[bytes, str]], kind: Kind, effect: bool
) -> None:
    proxies.book.arm(Rule(kind, "finish", "c1-a"))
    line = [sys.executable, "-c", CALLER, urlsplit(proxies.urls["finish"]).netloc]
    done = subprocess.run(line, check=False, capture_output=True, timeout=30)
    assert done.returncode == -9
    assert (KEY in stored) == effect
    assert proxies.book.struck == {f"function {kind}": 1}


def test_a_deed_is_done_between_two_requests(proxies: Proxies, stored: dict[str, tuple[bytes, str]]) -> None:
    seen: list[tuple[str, str, bool]] = []

    def do(deed: str, org: str) -> bool:
        seen.append((deed, org, KEY in stored))
        return True

    proxies.book.deeds = do
    proxies.book.arm(
        Rule("deed before", "finish", "c1-a", nth=1, deed="first"),
        Rule("deed after", "finish", "c1-a", nth=2, deed="second"),
    )
    assert [_ask(proxies)[0], _ask(proxies)[0]] == [200, 200]
    assert seen == [("first", "c1-a", False), ("second", "c1-a", True)]
    assert proxies.book.struck == {"first": 1, "second": 1}


def test_what_is_delivered_may_be_forged(proxies: Proxies, stored: dict[str, tuple[bytes, str]]) -> None:
    proxies.forge = lambda _kind, _key, body: body.upper()
    proxies.book.arm(Rule("garbage manifest", "finish", "c1-a"))
    assert _ask(proxies)[0] == 200
    assert stored[KEY][0] == b"HELD"
