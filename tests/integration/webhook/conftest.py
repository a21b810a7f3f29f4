"""A receiver of webhooks on a port of its own."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Receiver:
    """Answers every POST with `status`, and keeps it. silent_s: how long it says nothing first."""

    status: int = 204
    silent_s: float = 0.0
    location: str | None = None
    seen: list[tuple[str, bytes, Message]] = field(default_factory=list)
    url: str = ""
    stopped: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.seen.append((self.path, body, self.headers))
            made.stopped.wait(made.silent_s)
            self.send_response(made.status)
            if made.location is not None:
                self.send_header("Location", made.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Not worth a line."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    made.stopped.set()
    server.shutdown()
    server.server_close()
