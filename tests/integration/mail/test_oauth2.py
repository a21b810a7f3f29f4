"""XOAUTH2: access tokens are fetched once in their life, by a real token server, and anew when the mail server refuses one."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from pydantic import SecretStr

from mailtide.adapters.oauth2 import AccessTokens, KeptToken
from mailtide.warmup.classify import MailRefusedError, ReplyClass
from mailtide.warmup.mail_ports import Credentials
from tests.integration.mail.conftest import World
from tests.support.mail_servers import LOOPBACK, LoopThread, RecordingServer
from tests.support.plain_http import NO_AUTHORITIES

CREDENTIALS = Credentials(
    refresh_token=SecretStr("refresh-me"), client_id="client", client_secret=SecretStr("client-secret")
)


class TokenServer:
    """Answers a fixed status and body to each POST, and keeps the forms."""

    def __init__(self, loop: LoopThread) -> None:
        self._loop = loop
        self.status, self.body = 200, '{"access_token": "token-1", "expires_in": 3600}'
        self.forms: list[dict[str, list[str]]] = []

        async def start() -> asyncio.Server:
            return await asyncio.start_server(self._serve, LOOPBACK, 0)

        self._server = loop.call(start())
        self.url = f"http://{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}/token"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length:")[1].split()[0])
            self.forms.append(parse_qs((await reader.readexactly(length)).decode()))
            body = self.body.encode()
            writer.write(
                f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
            )
            await writer.drain()
        writer.close()


@pytest.fixture
def tokens(loop: LoopThread) -> TokenServer:
    return TokenServer(loop)


@pytest.fixture
def server(loop: LoopThread) -> Iterator[RecordingServer]:
    started = RecordingServer(loop, methods=("XOAUTH2",))
    yield started
    started.close()


def fetch[Result](work: Callable[[httpx.AsyncClient], Coroutine[Any, Any, Result]]) -> Result:
    async def run() -> Result:
        async with httpx.AsyncClient(verify=NO_AUTHORITIES) as client:
            return await work(client)

    return asyncio.run(run())


def test_a_mail_by_token(world_at: Callable[..., World], server: RecordingServer, tokens: TokenServer) -> None:
    server.access_tokens.add("token-1")
    world = world_at(server.port)
    sender = world.mailbox("alpha", credentials=CREDENTIALS, token_url=tokens.url)
    assert world.send(world.message(sender, world.mailbox("beta"))).counts() == {"sent": 1}
    assert tokens.forms == [
        {
            "grant_type": ["refresh_token"],
            "refresh_token": ["refresh-me"],
            "client_id": ["client"],
            "client_secret": ["client-secret"],
        }
    ]


def test_a_refused_refresh_token_disconnects(
    world_at: Callable[..., World], server: RecordingServer, tokens: TokenServer
) -> None:
    tokens.status, tokens.body = 400, '{"error": "invalid_grant"}'
    world = world_at(server.port)
    sender = world.mailbox("alpha", credentials=CREDENTIALS, token_url=tokens.url)
    assert world.send(world.message(sender, world.mailbox("beta"))).counts() == {"given_back": 1}
    assert world.status(sender) == "disconnected"
    assert server.record.connections == 0


def test_a_token_that_the_server_refuses_disconnects_after_a_fresh_one(
    world_at: Callable[..., World], server: RecordingServer, tokens: TokenServer
) -> None:
    world = world_at(server.port)
    sender = world.mailbox("alpha", credentials=CREDENTIALS, token_url=tokens.url)
    assert world.send(world.message(sender, world.mailbox("beta"))).counts() == {"given_back": 1}
    assert (world.status(sender), len(tokens.forms)) == ("disconnected", 1)


@pytest.mark.parametrize(
    ("status", "body"), [(500, ""), (200, "not json"), (200, "[]"), (200, '{"access_token": 7}'), (429, "")]
)
def test_a_failing_token_server_is_transient(
    world_at: Callable[..., World], server: RecordingServer, tokens: TokenServer, status: int, body: str
) -> None:
    tokens.status, tokens.body = status, body
    world = world_at(server.port)
    sender = world.mailbox("alpha", credentials=CREDENTIALS, token_url=tokens.url)
    assert world.send(world.message(sender, world.mailbox("beta"))).counts() == {"put_back": 1}
    assert world.status(sender) == "active"


def test_so_many_are_kept_and_no_more(tokens: TokenServer) -> None:
    async def work(client: httpx.AsyncClient) -> list[str]:
        kept: dict[str, KeptToken] = {}
        access = AccessTokens(client, kept, most_kept=2)
        for mailbox_id in ("box-1", "box-2", "box-1", "box-3"):
            await access.get(mailbox_id, tokens.url, CREDENTIALS)
        return list(kept)

    assert fetch(work) == ["box-2", "box-3"]
    assert len(tokens.forms) == 3


def test_kept_until_shortly_before_it_expires(tokens: TokenServer) -> None:
    now = [1_000.0]

    async def work(client: httpx.AsyncClient) -> list[bool]:
        kept: dict[str, KeptToken] = {}
        were_kept = []
        for moment in (1_000.0, 1_001.0, 4_539.0, 4_540.0, 4_541.0):
            now[0] = moment
            access = AccessTokens(client, kept, now_s=lambda: now[0])
            token, was_kept = await access.get("box", tokens.url, CREDENTIALS)
            assert token.get_secret_value() == "token-1"
            were_kept.append(was_kept)
        access.drop("box")
        assert (await access.get("box", tokens.url, CREDENTIALS))[1] is False
        return were_kept

    assert fetch(work) == [False, True, True, False, True]
    assert len(tokens.forms) == 3


def test_many_lanes_fetch_one_token(tokens: TokenServer) -> None:
    async def work(client: httpx.AsyncClient) -> int:
        access = AccessTokens(client)
        await asyncio.gather(*(access.get("box", tokens.url, CREDENTIALS) for _ in range(20)))
        return len(tokens.forms)

    assert fetch(work) == 1


@pytest.mark.parametrize(
    "url", ["http://login.example/token", "ftp://127.0.0.1/token", "", "//127.0.0.1/x", "https://[::1", "https://a:x/"]
)
def test_secrets_go_out_over_tls_alone(url: str) -> None:
    async def work(client: httpx.AsyncClient) -> None:
        await AccessTokens(client).get("box", url, CREDENTIALS)

    with pytest.raises(MailRefusedError) as caught:
        fetch(work)
    assert caught.value.reply_class == ReplyClass.AUTH_PERMANENT
    assert "refresh-me" not in str(caught.value)
