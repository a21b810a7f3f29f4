"""An HTTP server that stands for the bucket behind presigned URLs, and fails on demand.

It keeps S3's rules that matter to a machine: a signature in the URL, If-Match, If-None-Match, ranges, Content-MD5.
"""

import base64
import hashlib
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, override
from urllib.parse import parse_qs, urlsplit

type Kind = Literal[
    "status",
    "drop",
    "stall",
    "lose_answer",
    "ignore_range",
    "wrong_bytes",
    "wrong_range",
    "wrong_etag",
    "slow",
]
CODES = {
    400: "RequestTimeout",
    403: "AccessDenied",
    404: "NoSuchKey",
    409: "ConditionalRequestConflict",
    412: "PreconditionFailed",
    416: "InvalidRange",
    500: "InternalError",
    503: "SlowDown",
}
STALL_S = 3.0
SLOW_BLOCK_BYTES = 4096
SLOW_BLOCK_S = 0.02


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next `times` requests of this method for this object.

    at: bytes of the body that still go out (drop, stall). skip: requests that pass before the first fault.
    """

    method: str
    name: str
    kind: Kind
    times: int = 1
    status: int = 500
    at: int = 0
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """One request, its answer and the bytes of the body that were sent."""

    method: str
    name: str
    status: int
    range: str | None = None
    sent_bytes: int = 0


@dataclass(slots=True)
class Stored:
    body: bytes
    etag: str
    headers: dict[str, str] = field(default_factory=dict)


class FaultBucket:
    """The objects, the faults and the log. `base_url` is set when the server runs."""

    def __init__(self) -> None:
        self.base_url = ""
        self.signature = secrets.token_hex(16)
        self.objects: dict[str, Stored] = {}
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.lock = threading.Lock()

    def url(self, name: str) -> str:
        """A URL that reads and writes one object, and is as secret as a presigned one."""
        return f"{self.base_url}/{name}?X-Amz-Expires=600&X-Amz-Signature={self.signature}"

    def put(self, name: str, body: bytes, etag: str | None = None, **headers: str) -> str:
        """Store an object from outside; returns its ETag."""
        stored = Stored(body, etag or md5(body), {name.replace("_", "-"): value for name, value in headers.items()})
        with self.lock:
            self.objects[name] = stored
        return stored.etag

    def fail(self, method: str, name: str, kind: Kind, *, times: int = 1, status: int = 500, at: int = 0) -> None:
        """Ask for a fault."""
        self.faults.append(Fault(method, name, kind, times, status, at))

    def take_fault(self, method: str, name: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if (fault.method, fault.name) == (method, name) and fault.times:
                    fault.times -= 1
                    return fault
        return None

    def of(self, method: str, name: str) -> list[Seen]:
        """The requests for one object."""
        return [seen for seen in self.seen if (seen.method, seen.name) == (method, name)]

    def written(self) -> list[str]:
        """The objects that were stored by requests, in order."""
        return [seen.name for seen in self.seen if seen.method == "PUT" and seen.status == 200]


def md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """One connection to the bucket."""

    protocol_version = "HTTP/1.1"
    bucket: FaultBucket

    @override
    def log_message(self, format: str, *args: object) -> None:
        return

    def _name(self) -> str:
        return urlsplit(self.path).path.removeprefix("/")

    def _is_signed(self) -> bool:
        return parse_qs(urlsplit(self.path).query).get("X-Amz-Signature") == [self.bucket.signature]

    def _note(self, status: int, sent_bytes: int = 0) -> None:
        with self.bucket.lock:
            seen = Seen(self.command, self._name(), status, self.headers.get("Range"), sent_bytes)
            self.bucket.seen.append(seen)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def _refuse(self, status: int) -> None:
        # S3's refusals quote the request; a machine must not pass that on.
        body = f"<Error><Code>{CODES[status]}</Code><Resource>{self.path}</Resource></Error>".encode()
        self._note(status)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        """Store an object."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fault = self.bucket.take_fault("PUT", self._name())
        status = self._store(body) if self._is_signed() else 403
        if fault is not None and fault.kind == "status":
            self._undo(fault.status)
        elif fault is not None and fault.kind == "lose_answer":
            self._note(status)
            self._hang_up()
        elif status != 200:
            self._refuse(status)
        else:
            self._note(200)
            self.send_response(200)
            self.send_header("ETag", f'"{md5(b"") if fault else md5(body)}"')
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _undo(self, status: int) -> None:
        with self.bucket.lock:
            self.bucket.objects.pop(self._name(), None)
        self._refuse(status)

    def _store(self, body: bytes) -> int:
        promised = self.headers.get("Content-MD5")
        if promised and base64.b64decode(promised).hex() != md5(body):
            return 400
        with self.bucket.lock:
            if self.headers.get("If-None-Match") == "*" and self._name() in self.bucket.objects:
                return 412
            self.bucket.objects[self._name()] = Stored(body, md5(body))
        return 200

    def do_GET(self) -> None:
        """Send an object, or a range of it."""
        fault = self.bucket.take_fault("GET", self._name())
        stored = self.bucket.objects.get(self._name())
        wanted = self.headers.get("If-Match")
        if not self._is_signed():
            self._refuse(403)
        elif fault is not None and fault.kind == "status":
            self._refuse(fault.status)
        elif stored is None:
            self._refuse(404)
        elif wanted is not None and wanted.strip('"') != stored.etag:
            self._refuse(412)
        else:
            self._send(stored, fault)

    def _send(self, stored: Stored, fault: Fault | None) -> None:
        kind = fault.kind if fault else None
        asked = self.headers.get("Range")
        first, _, last = (asked or "").removeprefix("bytes=").partition("-")
        start = int(first) if asked and kind != "ignore_range" else None
        end = min(int(last) + 1, len(stored.body)) if last and start is not None else len(stored.body)
        if start is not None and start >= len(stored.body):
            self._refuse(416)
            return
        body = stored.body[start or 0 : end]
        if kind == "wrong_bytes":
            body = bytes([body[0] ^ 1]) + body[1:]
        self.send_response(200 if start is None else 206)
        for name, value in stored.headers.items():
            self.send_header(name, value)
        if start is not None:
            shown = start + (1 if kind == "wrong_range" else 0)
            self.send_header("Content-Range", f"bytes {shown}-{end - 1}/{len(stored.body)}")
        self.send_header("ETag", f'"{stored.etag}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self._send_body(body, fault, 200 if start is None else 206)

    def _send_body(self, body: bytes, fault: Fault | None, status: int) -> None:
        kind = fault.kind if fault else None
        part = body[: fault.at] if fault is not None and (kind in {"drop", "stall"} or fault.at) else body
        # Noted before it is sent: whoever has the last byte may look at the log at once.
        self._note(status, len(part))
        for offset in range(0, len(part), SLOW_BLOCK_BYTES if kind == "slow" else max(len(part), 1)):
            self.wfile.write(part[offset : offset + SLOW_BLOCK_BYTES] if kind == "slow" else part)
            self.wfile.flush()
            if kind == "slow":
                time.sleep(SLOW_BLOCK_S)
        if kind == "stall":
            time.sleep(STALL_S)
        if len(part) < len(body):
            self._hang_up()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what these tests are about; anything else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # socketserver's wide types


@contextmanager
def running_bucket() -> Iterator[FaultBucket]:
    """A bucket that listens on a free port of 127.0.0.1."""
    bucket = FaultBucket()
    handler = type("BoundHandler", (Handler,), {"bucket": bucket})
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    bucket.base_url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
