"""Visits by access token: fetched once, and anew when the mail server refuses the one that was kept."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from mailtide.warmup.contracts import Auth, MailServer
from tests.support.odd_imap import OddImap, serving
from tests.support.reading_pool import LOOPBACK, ReadingPool


@dataclass
class TokenServer:
    """Hands out one access token after the other."""

    status: int = 200
    asked: list[str] = field(default_factory=list)

    @contextmanager
    def serve(self) -> Iterator[str]:
        """Its URL."""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner.asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                body = json.dumps({"access_token": f"token-{len(owner.asked)}", "expires_in": 3_600}).encode()
                self.send_response(owner.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            yield f"http://{LOOPBACK}:{server.server_address[1]}/token"
            server.shutdown()


def test_tokens_are_kept_renewed_and_refused() -> None:
    tokens, odd = TokenServer(), OddImap(tokens={"token-1"})
    with serving(odd) as port, tokens.serve() as url:
        addresses = [f"person@company-{number}.example" for number in range(3)]
        pool = ReadingPool(addresses, MailServer(host=LOOPBACK, port=port, security="none"))
        pool.change(0, auth=Auth(kind="xoauth2", username="person", sealed="refresh-me", token_url=url).model_dump())
        assert [pool.read(0)[0].end for _ in range(2)] == ["visited"] * 2
        assert len(tokens.asked) == 1
        assert "refresh-me" in tokens.asked[0]

        odd.tokens = {"token-2"}
        assert pool.read(0)[0].end == "visited", "the one that was kept is revoked: a fresh one is fetched"
        assert len(tokens.asked) == 2

        odd.tokens = set()
        assert pool.read(0)[0].failure == "login"
        assert len(tokens.asked) == 3, "one fresh one, not more"
        pool.clock.at_ms = pool.left(0).not_before_ms

        tokens.status = 400
        assert pool.read(0)[0].failure == "login", "whoever gives tokens gives none any more"
        pool.clock.at_ms = pool.left(0).not_before_ms
        tokens.status = 503
        assert pool.read(0)[0].failure == "unreachable"
