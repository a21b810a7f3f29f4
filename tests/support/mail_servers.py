"""Mail servers of the tests' own on port 0: aiosmtpd, which records what it accepts, and one that plays a script."""

import asyncio
import base64
import ssl
import threading
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from typing import Any, ClassVar, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

LOOPBACK = "127.0.0.1"
USERNAME = "box@sender.example"
PASSWORD = "correct horse battery staple"


class LoopThread:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def call[Result](self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def stop(self) -> None:
        async def end_others() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        self.call(end_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


class Record:
    """What a server accepted, in order."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.connections = 0
        self.logins = 0
        self.most_connections = 0
        self.open_connections = 0

    def accept(self, content: bytes) -> None:
        self.mails.append(message_from_bytes(content))

    def message_ids(self) -> Counter[str]:
        return Counter(str(mail["Message-ID"]) for mail in self.mails)

    def opened(self) -> None:
        self.connections += 1
        self.open_connections += 1
        self.most_connections = max(self.most_connections, self.open_connections)


class _Handler:
    """aiosmtpd's handler: accepts, records, and may be told to wait."""

    def __init__(self, record: Record, access_tokens: set[str]) -> None:
        self.record = record
        self.access_tokens = access_tokens
        self.delay_s = 0.0
        self.delay_after_s = 0.0

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        await asyncio.sleep(self.delay_s)
        content = envelope.content
        assert isinstance(content, bytes)
        self.record.accept(content)
        await asyncio.sleep(self.delay_after_s)
        return "250 2.0.0 OK"

    async def auth_XOAUTH2(self, server: SMTP, arguments: list[str]) -> AuthResult:  # noqa: N802 - aiosmtpd's name
        said = base64.b64decode(arguments[1]).decode()
        user, bearer = said.split("\x01")[:2]
        if user == f"user={USERNAME}" and bearer.removeprefix("auth=Bearer ") in self.access_tokens:
            self.record.logins += 1
            return AuthResult(success=True)
        # A refusal comes as a challenge first (the client answers with an empty line), then as 535.
        await server.push("334 eyJzdGF0dXMiOiI0MDAifQ==")
        await server._reader.readline()
        return AuthResult(success=False, handled=False, message="535 5.7.8 Bad token")


class _CountingSMTP(SMTP):
    record: Record

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self.transport:
            self.record.opened()
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.record.open_connections -= 1
        super().connection_lost(error)


class RecordingServer:
    """aiosmtpd with AUTH; `security` as a mailbox's server has it."""

    def __init__(
        self,
        loop: LoopThread,
        *,
        security: Literal["starttls", "tls", "none"] = "none",
        tls: ssl.SSLContext | None = None,
        methods: tuple[str, ...] = ("PLAIN", "LOGIN"),
        passwords: tuple[str, ...] = (PASSWORD,),
    ) -> None:
        self._loop = loop
        self.record = Record()
        self.access_tokens: set[str] = set()
        self.handler = _Handler(self.record, self.access_tokens)
        self._passwords = passwords
        excluded = {"PLAIN", "LOGIN", "XOAUTH2"} - set(methods)

        def authenticate(_s: object, _session: object, _e: object, _mechanism: str, data: object) -> AuthResult:
            assert isinstance(data, LoginPassword)
            is_right = data.password.decode() in self._passwords
            self.record.logins += is_right
            return AuthResult(success=is_right, handled=False)

        def build() -> SMTP:
            server = _CountingSMTP(
                self.handler,
                authenticator=authenticate,
                auth_required=True,
                auth_require_tls=security == "starttls",
                auth_exclude_mechanism=excluded,
                tls_context=tls if security == "starttls" else None,
                require_starttls=security == "starttls",
                timeout=60,
                hostname="mail.example",
            )
            server.record = self.record
            return server

        async def start() -> asyncio.Server:
            context = tls if security == "tls" else None
            return await asyncio.get_running_loop().create_server(build, LOOPBACK, 0, ssl=context)

        self._server = loop.call(start())
        self.port = int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        async def stop() -> None:
            self._server.close()

        self._loop.call(stop())


class ScriptedServer:
    """Plays replies: `script[step]` is a list of actions, one for each time that the step comes; the usual reply after that.

    An action is a whole reply, or DROP (the connection ends), STALL (no answer ever), ACCEPT_AND_DROP or ACCEPT_AND_STALL (at
    `content`: the mail counts as accepted, but nobody is told).
    """

    USUAL: ClassVar[dict[str, str]] = {
        "greeting": "220 mail.example ESMTP",
        "ehlo": "250-mail.example\r\n250-AUTH PLAIN LOGIN XOAUTH2\r\n250 ENHANCEDSTATUSCODES",
        "auth": "235 2.7.0 Accepted",
        "mail": "250 2.1.0 OK",
        "rcpt": "250 2.1.5 OK",
        "data": "354 Go on",
        "content": "250 2.0.0 OK",
        "rset": "250 2.0.0 OK",
        "noop": "250 2.0.0 OK",
    }

    def __init__(self, loop: LoopThread, script: dict[str, list[str]] | None = None) -> None:
        self._loop = loop
        self.script = {step: list(actions) for step, actions in (script or {}).items()}
        self.record = Record()
        self.steps: Counter[str] = Counter()

        async def start() -> asyncio.Server:
            return await asyncio.start_server(self._serve, LOOPBACK, 0)

        self._server = loop.call(start())
        self.port = int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        async def stop() -> None:
            self._server.close()

        self._loop.call(stop())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.record.opened()
        try:
            if await self._play("greeting", writer):
                while line := await reader.readline():
                    if not await self._answer(line, reader, writer):
                        break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.record.open_connections -= 1
            writer.close()

    async def _answer(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        verb = line.split()[0].decode().lower() if line.split() else ""
        if verb == "quit":
            writer.write(b"221 2.0.0 Bye\r\n")
            await writer.drain()
            return False
        if verb != "data":
            return await self._play({"helo": "ehlo"}.get(verb, verb), writer)
        if not await self._play("data", writer) or self.last_reply[:1] != "3":
            return self.last_reply != ""
        content = await reader.readuntil(b"\r\n.\r\n")
        return await self._play("content", writer, content[:-5])

    last_reply = ""

    async def _play(self, step: str, writer: asyncio.StreamWriter, content: bytes = b"") -> bool:
        self.steps[step] += 1
        planned = self.script.get(step)
        action = planned.pop(0) if planned else self.USUAL.get(step, "500 5.5.1 What?")
        is_accepted = action.startswith("ACCEPT") or (step == "content" and action[:1] == "2")
        if is_accepted:
            self.record.accept(content)
        self.last_reply = ""
        if action.endswith("DROP"):
            return False
        if action.endswith("STALL"):
            await asyncio.sleep(3_600)
        self.last_reply = action
        writer.write(action.encode() + b"\r\n")
        await writer.drain()
        return True


@contextmanager
def loop_thread() -> Iterator[LoopThread]:
    loop = LoopThread()
    try:
        yield loop
    finally:
        loop.stop()
