"""A DNS server on loopback for the folder, and the resolver that asks it."""

from collections.abc import Iterator

import pytest

from mailtide.adapters.dns import DnsResolver
from tests.support.dns_server import DnsServer
from tests.support.mail_servers import LoopThread, loop_thread


@pytest.fixture(scope="session")
def loop() -> Iterator[LoopThread]:
    with loop_thread() as started:
        yield started


@pytest.fixture
def server(loop: LoopThread) -> Iterator[DnsServer]:
    started = DnsServer(loop)
    yield started
    started.close()


@pytest.fixture
def resolver(server: DnsServer) -> DnsResolver:
    return DnsResolver(server.address)
