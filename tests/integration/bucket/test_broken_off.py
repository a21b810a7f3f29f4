"""Answers of S3 that break off: a part of an object is never taken for the whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from mailtide.adapters.s3 import BrokenOffError, S3Bucket, make_client
from mailtide.errors import TransientError

BODY = b"0123456789" * 1_000


@dataclass
class Cut:
    """How many answers are still to break off, and after how many bytes."""

    answers: int = 0
    after_bytes: int = 4_000


class _Handler(BaseHTTPRequestHandler):
    cut: Cut

    def do_GET(self) -> None:
        first, last = 0, len(BODY) - 1
        if wanted := self.headers.get("Range"):
            first, last = (int(end) for end in wanted.removeprefix("bytes=").split("-"))
        body = BODY[first : last + 1]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"e"')
        self.send_header("Last-Modified", "Sun, 22 Nov 2026 06:00:00 GMT")
        self.end_headers()
        if self.cut.answers:
            self.cut.answers -= 1
            body = body[: self.cut.after_bytes]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def cut() -> Cut:
    return Cut()


@pytest.fixture
def bucket(cut: Cut) -> Iterator[S3Bucket]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cut": cut}))
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield S3Bucket("b", make_client(f"http://127.0.0.1:{server.server_port}"))
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("after_bytes", [0, 4_000])
def test_what_breaks_off_is_asked_for_again(bucket: S3Bucket, cut: Cut, after_bytes: int) -> None:
    cut.answers, cut.after_bytes = 2, after_bytes
    stored = bucket.get("k")
    assert stored is not None
    assert stored.body == BODY
    cut.answers = 2
    assert bucket.get_range("k", 5, 9_000, etag="e") == BODY[5:9_005]


def test_what_breaks_off_again_and_again_may_pass_later(bucket: S3Bucket, cut: Cut) -> None:
    cut.answers = 100
    with pytest.raises(BrokenOffError) as caught:
        bucket.get_range("k", 0, 9_000, etag="e")
    assert isinstance(caught.value, TransientError)
    with pytest.raises(BrokenOffError):
        bucket.get("k")
