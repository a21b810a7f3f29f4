"""The connection under IMAPClient: every command has a deadline and a limit of bytes, whatever the server sends and how slowly.

imaplib lets `open`, `read`, `readline`, `send` and `shutdown` be replaced. Its own read as long as the server dribbles, and take
literals of any size.
"""

import imaplib
import socket
import ssl
import time
from contextlib import suppress
from typing import Any

from imapclient import IMAPClient
from imapclient.exceptions import ProtocolError

from mailtide.warmup.contracts import MailServer

MAX_ANSWER_BYTES = 2_097_152
"""Of one command: 50 mails' header fields are at most a tenth of it, and the uids of 200,000 mails fit in."""
_LINE_BYTES = 100
"""What a line counts for besides its length: the library spends as much time on a short one as on a long one."""
_RECEIVE_BYTES = 65_536
_LEAST_S = 0.001


class TooMuchError(Exception):
    """The server's answer is longer than any that is needed."""


class Bounds:
    """What one command may take, and when the whole connection ends."""

    def __init__(self, *, ends_in_s: float, timeout_s: float) -> None:
        """timeout_s: of each command."""
        self._timeout_s = timeout_s
        self._ends_at_s = time.monotonic() + ends_in_s
        self._command_ends_at_s = self._ends_at_s
        self._bytes_left = 0
        self.begin()

    def begin(self) -> None:
        """A new command."""
        self._command_ends_at_s = min(self._ends_at_s, time.monotonic() + self._timeout_s)
        self._bytes_left = MAX_ANSWER_BYTES

    def hurry(self, within_s: float) -> None:
        """The last command, which nobody waits for."""
        self._ends_at_s = max(self._ends_at_s, time.monotonic() + within_s)
        self.begin()
        self._command_ends_at_s = min(self._command_ends_at_s, time.monotonic() + within_s)

    def left_s(self) -> float:
        """TimeoutError when it is nothing."""
        left_s = self._command_ends_at_s - time.monotonic()
        if left_s < _LEAST_S:
            raise TimeoutError("The time for the command is over.")
        return left_s

    def take(self, size_bytes: int) -> None:
        """So many bytes are about to be kept. TooMuchError."""
        self._bytes_left -= size_bytes
        if self._bytes_left < 0:
            raise TooMuchError


class BoundedConnection(imaplib.IMAP4):
    """imaplib within Bounds. Nothing that is said is kept for debugging: it holds passwords."""

    def __init__(self, server: MailServer, tls_context: ssl.SSLContext, bounds: Bounds) -> None:
        self._server = server
        self._tls_context = tls_context
        self._bounds = bounds
        self._buffer = bytearray()
        self.is_cut = False
        """The other side has closed the connection, or it broke."""
        super().__init__(server.host, server.port)

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:  # noqa: ARG002 - imaplib's shape
        """Connect, with TLS from the first byte on where the server's settings say so."""
        self.host, self.port = host, port
        plain = self._connected(host, port)
        try:
            self.sock = self._wrapped(plain) if self._server.security == "tls" else plain
        except BaseException:
            plain.close()
            raise

    def _connected(self, host: str, port: int) -> socket.socket:
        error: OSError = ConnectionError("The name has no address.")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            made = socket.socket(family, kind, protocol)
            try:
                # An address that does not answer leaves half of the time to the next one.
                made.settimeout(self._bounds.left_s() / 2)
                made.connect(address)
                # The library sends a command in pieces, each of which would else wait for the server's last acknowledgement.
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as failed:
                made.close()
                error = failed
            else:
                return made
        raise error

    def _wrapped(self, plain: socket.socket) -> ssl.SSLSocket:
        plain.settimeout(self._bounds.left_s())
        return self._tls_context.wrap_socket(plain, server_hostname=self.host)

    def starttls(self, ssl_context: ssl.SSLContext | None = None) -> Any:  # noqa: ANN401, ARG002 - imaplib's shape
        """STARTTLS; what came in the clear before does not count afterwards (RFC 9051 §6.2.1)."""
        answer = self._simple_command("STARTTLS")
        if answer[0] != "OK":
            raise self.abort("STARTTLS was refused")
        if self._buffer:
            raise self.abort("something was said between STARTTLS and TLS")
        self.sock = self._wrapped(self.sock)
        self.untagged_responses = {}
        self._bounds.begin()
        self._get_capabilities()
        return answer

    def read(self, size: int) -> bytes:
        """Exactly so many bytes."""
        self._bounds.take(size)
        while len(self._buffer) < size:
            self._receive()
        return self._taken(size)

    def readline(self) -> bytes:
        """One line with its end."""
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > MAX_ANSWER_BYTES:
                raise TooMuchError
            self._receive()
        self._bounds.take(end + 1 + _LINE_BYTES)
        return self._taken(end + 1)

    def _taken(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _receive(self) -> None:
        self.sock.settimeout(self._bounds.left_s())
        try:
            received = self.sock.recv(_RECEIVE_BYTES)
        except TimeoutError:
            raise
        except OSError:
            self.is_cut = True
            raise
        if not received:
            self.is_cut = True
            raise ConnectionError("The connection was closed.")
        self._buffer += received

    def send(self, data: Any) -> None:  # noqa: ANN401 - imaplib's shape
        """All of it."""
        self.sock.settimeout(self._bounds.left_s())
        self.sock.sendall(data)

    def shutdown(self) -> None:
        """Close; never raises."""
        with suppress(OSError, AttributeError):
            self.sock.shutdown(socket.SHUT_RDWR)
        with suppress(OSError, AttributeError):
            self.sock.close()

    def _log(self, line: str) -> None:
        """Nothing: imaplib would keep the last ten lines."""

    def _mesg(self, s: str, secs: float | None = None) -> None:
        """Nothing: imaplib would write to stderr."""


class BoundedClient(IMAPClient):
    """IMAPClient on a BoundedConnection."""

    _imap: BoundedConnection

    def __init__(self, server: MailServer, tls_context: ssl.SSLContext, bounds: Bounds) -> None:
        """Connects, greets and starts TLS. OSError, ssl.SSLError, imaplib.IMAP4.error, TooMuchError."""
        self._made = (server, tls_context, bounds)
        super().__init__(server.host, server.port, ssl=server.security == "tls", ssl_context=tls_context)
        # IMAPClient has every line written to its logger, passwords too but for the plainest.
        self._imap.debug = 0
        try:
            if server.security == "starttls":
                bounds.begin()
                self.starttls(tls_context)
        except BaseException:
            self._imap.shutdown()
            raise

    def _create_IMAP4(self) -> BoundedConnection:  # noqa: N802 - IMAPClient's name
        return BoundedConnection(*self._made)

    def _set_read_timeout(self) -> None:
        """Each command sets its own."""

    def _proc_folder_list(self, folder_data: list[Any]) -> list[Any]:
        """Each line by itself: the library knows no name with a lone bracket, which IMAP allows, and would know none at all."""
        found: list[Any] = []
        parse: Any = super()._proc_folder_list
        for line in folder_data:
            with suppress(ProtocolError, ValueError):
                found += parse([line])
        return found

    @property
    def is_cut(self) -> bool:
        """Whether the connection broke."""
        return self._imap.is_cut
