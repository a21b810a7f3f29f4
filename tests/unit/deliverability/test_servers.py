"""Mail servers that will not do, and one that does: what is said of each, before anybody shows it a password."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from typing import Literal

import pytest

from mailtide.adapters.smtp_check import reach_server
from mailtide.deliverability.login import Reached, server_check
from mailtide.warmup.contracts import Auth, Mailbox, MailServer
from tests.support.mail_servers import LOOPBACK, USERNAME, LoopThread, RecordingServer, ScriptedServer
from tests.support.tls import Authority, make_authority

type Security = Literal["starttls", "tls", "none"]
QUICK = 0.1
"""Seconds for a command whose answer never comes."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls"))


def box(port: int, security: Security = "none", host: str = LOOPBACK) -> Mailbox:
    return Mailbox(
        mailbox_id="box",
        user_id="user",
        address="box@sender.example",
        first_day=date(2026, 11, 21),
        smtp=MailServer(host=host, port=port, security=security),
        auth=Auth(kind="password", username=USERNAME, sealed="never opened"),
    )


def reach(mailbox: Mailbox, context: ssl.SSLContext, timeout_s: float = 10.0) -> tuple[Reached, str]:
    """What happened, and the verdict on it."""
    reached = asyncio.run(reach_server(mailbox, context, timeout_s))
    finding = server_check(mailbox, reached)
    assert (finding.todo == "") == (finding.verdict == "ok")
    return reached, finding.verdict


@pytest.fixture
def context(authority: Authority) -> ssl.SSLContext:
    return authority.client_context()


@pytest.mark.parametrize(
    ("script", "security", "reached"),
    [
        ({"greeting": ["554 5.7.1 Not you"]}, "none", "unavailable"),
        ({"greeting": ["Hello."]}, "none", "not_smtp"),
        ({"greeting": ["DROP"]}, "none", "not_smtp"),
        ({"ehlo": ["DROP", "DROP"]}, "none", "not_smtp"),
        ({"ehlo": ["421 4.3.2 Too busy", "421 4.3.2 Too busy"]}, "none", "unavailable"),
        ({}, "starttls", "no_starttls"),
        ({}, "tls", "tls"),
    ],
)
def test_servers_that_will_not_do(
    loop: LoopThread, context: ssl.SSLContext, script: dict[str, list[str]], security: Security, reached: Reached
) -> None:
    with closing(ScriptedServer(loop, script)) as server:
        assert reach(box(server.port, security), context) == (reached, "broken")
        assert server.steps["auth"] == server.steps["mail"] == 0


def test_a_server_that_never_speaks(loop: LoopThread, context: ssl.SSLContext) -> None:
    with closing(ScriptedServer(loop, {"greeting": ["STALL"]})) as server:
        assert reach(box(server.port), context, QUICK) == ("timeout", "broken")


def test_nobody_at_the_port_or_the_name(context: ssl.SSLContext) -> None:
    with socket.socket() as taken:
        # Nobody listens there, and nobody else gets the port.
        taken.bind((LOOPBACK, 0))
        port = taken.getsockname()[1]
        assert reach(box(port), context) == ("refused", "broken")
        # A label of 64 characters is refused before anybody is asked.
        assert reach(box(port, host="x" * 64 + ".invalid"), context) == ("no_address", "broken")


@pytest.fixture(params=["starttls", "tls"])
def secure(request: pytest.FixtureRequest, loop: LoopThread, authority: Authority) -> Iterator[tuple[int, Security]]:
    server = RecordingServer(loop, security=request.param, tls=authority.server_context(LOOPBACK))
    yield server.port, request.param
    server.close()


# It does not know that the connection is protected before it comes to it.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_certificates(secure: tuple[int, Security], context: ssl.SSLContext) -> None:
    port, security = secure
    assert reach(box(port, security), context) == ("reached", "ok")
    assert reach(box(port, security, host="localhost"), context) == ("certificate", "broken"), "it is not of this name"
    assert reach(box(port, security), ssl.create_default_context()) == ("certificate", "broken"), "of nobody known"


def test_a_password_that_would_travel_unprotected(loop: LoopThread, context: ssl.SSLContext) -> None:
    with closing(ScriptedServer(loop)) as server:
        assert reach(box(server.port), context) == ("reached", "warning")
