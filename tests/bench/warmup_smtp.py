"""The bench's mail server, in a process of its own: accepts everything over plain TCP and notes when each mail began.

`python -m tests.bench.warmup_smtp FILE` prints its port. FILE gets a line for each accepted mail: the milliseconds since 1970 at
its MAIL FROM and at its acceptance, and its Message-ID. As cheap as can be, so that the bench measures the sender.
"""

import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import IO

LOOPBACK = "127.0.0.1"
GREETING = b"220 bench.example ESMTP\r\n"
CAPABILITIES = b"250-bench.example\r\n250-AUTH PLAIN\r\n250 ENHANCEDSTATUSCODES\r\n"
OK = b"250 2.0.0 OK\r\n"
ANSWERS = {
    b"EHLO": CAPABILITIES,
    b"AUTH": b"235 2.7.0 Accepted\r\n",
    b"MAIL": OK,
    b"RCPT": OK,
    b"RSET": OK,
    b"NOOP": OK,
    b"DATA": b"354 Go on\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}
UNKNOWN = b"500 5.5.1 What?\r\n"
END = b"\r\n.\r\n"
ID_HEADER = b"message-id:"


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, record: IO[str]) -> None:
        self._record = record
        self._received = b""
        self._in_data = False
        self._begun_ms = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(GREETING)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._step():
            pass

    def _step(self) -> bool:
        """Take one command or one mail out of what has come; False when neither is whole yet."""
        content, end, rest = self._received.partition(END if self._in_data else b"\r\n")
        if not end:
            return False
        self._received = rest
        if self._in_data:
            self._accept(content)
        else:
            self._command(content[:4].upper())
        return True

    def _command(self, verb: bytes) -> None:
        if verb == b"MAIL":
            self._begun_ms = time.time_ns() // 1_000_000
        self._in_data = verb == b"DATA"
        self._transport.write(ANSWERS.get(verb, UNKNOWN))
        if verb == b"QUIT":
            self._transport.close()

    def _accept(self, content: bytes) -> None:
        self._in_data = False
        headers = content.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ")
        start = headers.lower().index(b"\r\n" + ID_HEADER) + 2 + len(ID_HEADER)
        message_id = headers[start:].partition(b"\r\n")[0].strip().decode()
        self._record.write(f"{self._begun_ms} {time.time_ns() // 1_000_000} {message_id}\n")
        self._transport.write(OK)


async def serve(record: IO[str]) -> None:
    """Until SIGTERM."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(record), LOOPBACK, 0, backlog=1_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    while not ended.is_set():
        record.flush()
        try:
            await asyncio.wait_for(ended.wait(), 1.0)
        except TimeoutError:
            continue
    server.close()


def main() -> None:
    with Path(sys.argv[1]).open("w", encoding="ascii") as record:
        asyncio.run(serve(record))


if __name__ == "__main__":
    main()
