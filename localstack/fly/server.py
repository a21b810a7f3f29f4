"""Running the server: in this process until a signal, or in a thread for tests."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from localstack.fly.app import App, Options
from localstack.fly.faults import FaultClient

_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 20.0


class _CuttableProtocol(H11Protocol):
    """HTTP/1.1 whose requests can cut their own connection: scope["fly.abort"]."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"HTTP needs a stream, not {transport!r}")
        super().connection_made(transport)
        inner = self.app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await inner({**scope, "fly.abort": transport.abort}, receive, send)

        self.app = app


@dataclass(frozen=True)
class Running:
    """A server that listens. origin: its address, such as http://127.0.0.1:4280."""

    origin: str

    @property
    def base_url(self) -> str:
        """What the client takes as base_url."""
        return f"{self.origin}/v1"

    def faults(self) -> FaultClient:
        """A client for planting faults."""
        return FaultClient(self.origin)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError when the port is taken."""
    # With the protocol named, asyncio turns Nagle's algorithm off; otherwise every answer takes 40 ms longer.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(128)
    return sock


def server_of(options: Options) -> uvicorn.Server:
    """The uvicorn server of these options; long waits are cut a second after it is told to stop."""
    config = uvicorn.Config(
        App(options),
        http=_CuttableProtocol,
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


@contextlib.contextmanager
def running(options: Options) -> Iterator[Running]:
    """A server in a thread, on a free port of 127.0.0.1; stopped at the end, with all its machines."""
    sock = listen("127.0.0.1", 0)
    server = server_of(options)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="fly", daemon=True)
    thread.start()
    running_server = Running(f"http://127.0.0.1:{sock.getsockname()[1]}")
    try:
        _wait_until_started(server, thread)
        yield running_server
    finally:
        server.should_exit = True
        thread.join(_STOP_TIMEOUT_S)


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    pause = threading.Event()
    waited_s = 0.0
    while not server.started:
        if not thread.is_alive() or waited_s > _START_TIMEOUT_S:
            raise RuntimeError("the Fly server did not start")
        pause.wait(0.02)
        waited_s += 0.02
