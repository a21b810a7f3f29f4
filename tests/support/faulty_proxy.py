"""An HTTP server between the SDK and a cloud on this computer, which passes requests on, throttles them or is not there."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Literal
from urllib.parse import urlsplit

from localstack.processes import LOOPBACK

type Fault = Literal["throttled", "unavailable", "answer lost"]
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


@dataclass
class FaultyProxy:
    """`judge` sees each request's operation (`DynamoDB_20120810.Query`, `AmazonSQS.SendMessageBatch`, `GET /bucket/key`)."""

    upstream: str
    judge: Callable[[str], Fault | None] = lambda _: None
    url: str = ""
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    carried: list[tuple[str, bytes]] = field(default_factory=list)
    """Operation and body of each request that reached the cloud, whatever became of its answer."""

    def sound(self) -> None:
        """All is well again."""
        self.judge = lambda _: None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body of an answer in one packet: in two, each answer would wait for a delayed acknowledgement.
    wbufsize = 65_536
    proxy: FaultyProxy

    def handle_expect_100(self) -> bool:
        """The client waits a second for this line before it sends a body."""
        said = super().handle_expect_100()
        self.wfile.flush()
        return said

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        operation = self.headers.get("X-Amz-Target") or f"{self.command} {urlsplit(self.path).path}"
        fault = self.proxy.judge(operation)
        if fault is not None:
            self.proxy.faults.append((operation, fault))
        if fault == "throttled":
            code = b'{"__type":"com.amazonaws#ThrottlingException","message":"Rate exceeded"}'
            self._answer(400, {"Content-Type": "application/x-amz-json-1.0"}, code)
        elif fault == "unavailable":
            self._answer(503, {}, b"")
        else:
            status, headers, answer = self._ask(body)
            self.proxy.carried.append((operation, body))
            if fault == "answer lost":
                self.close_connection = True
                return
            self._answer(status, headers, answer)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815 - http.server's names

    def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        upstream = http.client.HTTPConnection(urlsplit(self.proxy.upstream).netloc, timeout=20)
        try:
            upstream.request(self.command, self.path, body, dict(self.headers.items()))
            answer = upstream.getresponse()
            headers = {name: value for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP}
            return answer.status, headers, answer.read()
        finally:
            upstream.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:  # noqa: ANN401 - http.server's shape
        """Say nothing on the tests' output."""


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """A proxy before `upstream` (its URL) that passes everything on until it is told otherwise."""
    proxy = FaultyProxy(upstream)
    server = ThreadingHTTPServer((LOOPBACK, 0), type("Handler", (_Handler,), {"proxy": proxy}))
    proxy.url = f"http://{LOOPBACK}:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
