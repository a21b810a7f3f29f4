"""An SMTP server on 127.0.0.1 that takes every mail and delivers none: what it keeps is who wrote what to whom, and when.

with MailSink({"box@company.example": "secret"}) as sink:
    smtplib.SMTP("127.0.0.1", sink.port) …
"""

import asyncio
import logging
import threading
import time
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from types import TracebackType
from typing import Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from localstack.processes import LOOPBACK, LocalCloudError

START_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """One mail that the server said yes to."""

    at_s: float
    """Seconds since 1970, when DATA ended."""
    sender: str
    recipient: str
    message_id: str
    subject: str
    in_reply_to: str
    content: bytes = field(default=b"", repr=False)


class MailSink:
    """A context manager. It speaks plain SMTP with PLAIN and LOGIN, for 127.0.0.1 alone.

    passwords: address -> its password; whoever has none, or a wrong one, is refused (535). unknown: recipients that do not
    exist here (550 5.1.1).
    """

    def __init__(self, passwords: Mapping[str, str], unknown: frozenset[str] = frozenset()) -> None:
        self.passwords = dict(passwords)
        self.unknown = unknown
        self.arrived: list[Arrived] = []
        """In the order of arrival; appended to while it runs."""
        self.refused: Counter[str] = Counter()
        """Replies that were not yes, by their code."""
        self.port = 0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="mail sink", daemon=True)
        self._up = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._up.wait(START_TIMEOUT_S):
            raise LocalCloudError("the mail server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(START_TIMEOUT_S)

    async def _serve(self) -> None:
        # Passwords without TLS are what it is for, on 127.0.0.1; aiosmtpd says so at each connection.
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module="aiosmtpd")
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        server = await self._loop.create_server(self._session, LOOPBACK, 0)
        self.port = int(server.sockets[0].getsockname()[1])
        self._up.set()
        await self._ended.wait()
        server.close()
        server.close_clients()

    def _session(self) -> SMTP:
        return SMTP(
            self,
            authenticator=self._authenticate,
            auth_required=True,
            auth_require_tls=False,
            hostname="mail.example",
            ident="mailtide's sink",
        )

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, said: object
    ) -> AuthResult:
        if isinstance(said, LoginPassword) and self.passwords.get(said.login.decode()) == said.password.decode():
            return AuthResult(success=True)
        self.refused["535"] += 1
        return AuthResult(success=False, handled=False)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """aiosmtpd asks for each recipient."""
        if address in self.unknown:
            self.refused["550"] += 1
            return "550 5.1.1 No such mailbox here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """aiosmtpd hands over each mail."""
        content = envelope.content
        mail: Message = message_from_bytes(content if isinstance(content, bytes) else b"")
        self.arrived.append(
            Arrived(
                at_s=time.time(),
                sender=str(envelope.mail_from),
                recipient=envelope.rcpt_tos[0],
                message_id=str(mail["Message-ID"]),
                subject=str(mail["Subject"]),
                in_reply_to=str(mail["In-Reply-To"] or ""),
                content=content if isinstance(content, bytes) else b"",
            )
        )
        return "250 2.0.0 Taken"
