"""A small IMAP server on real sockets, whose answers a test may replace: for servers that lack things, or behave badly.

It speaks as much of RFC 3501 and its extensions as a visit needs, keeps its folders in memory, and writes down every command.
"""

import base64
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from localstack.processes import LOOPBACK

ALL = "IMAP4rev1 AUTH=PLAIN AUTH=XOAUTH2 UNSELECT UIDPLUS MOVE SPECIAL-USE"
_FIELDS = re.compile(r"HEADER\.FIELDS \(([^)]*)\)")


@dataclass
class OddMail:
    """One mail."""

    uid: int
    content: bytes
    flags: set[str] = field(default_factory=set)


@dataclass
class OddFolder:
    """A folder; its name is as it goes over the wire."""

    attributes: str = ""
    uidvalidity: int = 1
    mails: list[OddMail] = field(default_factory=list)
    next_uid: int = 1

    def put(self, *contents: bytes, flags: tuple[str, ...] = ()) -> list[int]:
        """The uids of these new mails."""
        uids = []
        for content in contents:
            self.mails.append(OddMail(self.next_uid, content, set(flags)))
            uids.append(self.next_uid)
            self.next_uid += 1
        return uids

    def seen(self) -> list[tuple[int, frozenset[str], bytes]]:
        """Everything in it."""
        return [(mail.uid, frozenset(mail.flags), mail.content) for mail in self.mails]


class Line:
    """A client's connection."""

    def __init__(self, server: "OddImap", sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.file = sock.makefile("rb")
        self.folder: OddFolder | None = None
        self.may_write = False
        self.is_mute = False

    def say(self, text: bytes | str) -> None:
        """As it is, unless nothing is to be heard any more."""
        if self.is_mute:
            return
        self.sock.sendall(text.encode() if isinstance(text, str) else text)

    def drip(self, text: bytes, every_s: float) -> None:
        """One byte after the other, until the other side has gone."""
        for number in range(len(text)):
            self.say(text[number : number + 1])
            time.sleep(every_s)


type Answer = Callable[[Line, str, str], bool]
"""Answers a command (connection, tag, the rest of the line); False when the usual answer is to follow."""


@dataclass
class OddImap:
    """What the server is and has. answers: in place of the usual ones, by command ("UID FETCH", "SELECT", …)."""

    folders: dict[str, OddFolder] = field(default_factory=lambda: {"INBOX": OddFolder(), "Junk": OddFolder("\\Junk")})
    capabilities: str = ALL
    greeting: bytes = b"* OK ready\r\n"
    answers: dict[str, Answer] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=lambda: {"secret"})
    """Passwords and access tokens that open it."""
    said: list[str] = field(default_factory=list)
    """Every command, without its tag."""
    most_at_once: int = 0
    cut_at: int = 0
    """The command, counted from 1 over all connections, at which the connection breaks; 0: none."""
    is_cut_after: bool = False
    """It breaks after the command was carried out, in place of the answer."""
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def commands(self) -> list[str]:
        """The words of the commands."""
        return [" ".join(line.split(" ")[: 2 if line.startswith("UID") else 1]) for line in self.said]

    def serve(self, sock: socket.socket) -> None:
        """One connection, until it ends."""
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            with suppress(OSError), sock:
                line = Line(self, sock)
                try:
                    self._talk(line)
                finally:
                    line.file.close()
                    sock.shutdown(socket.SHUT_RDWR)
        finally:
            with self._lock:
                self._now -= 1

    def _talk(self, line: Line) -> None:
        line.say(self.greeting)
        while raw := line.file.readline():
            tag, _, rest = raw.decode("utf-8", "replace").rstrip("\r\n").partition(" ")
            self.said.append(rest)
            if len(self.said) == self.cut_at:
                if not self.is_cut_after or rest.startswith("AUTH"):
                    return
                line.is_mute = True
            word, _, arguments = rest.partition(" ")
            word = word.upper()
            if word == "UID":
                sub, _, arguments = arguments.partition(" ")
                word = f"UID {sub.upper()}"
            answer = self.answers.get(word)
            if answer is not None and answer(line, tag, arguments):
                continue
            usual = getattr(self, "_" + word.lower().replace(" ", "_"), None)
            if usual is None:
                line.say(f"{tag} BAD what?\r\n")
            elif usual(line, tag, arguments) is False or line.is_mute:
                return

    def _capability(self, line: Line, tag: str, _: str) -> None:
        line.say(f"* CAPABILITY {self.capabilities}\r\n{tag} OK done\r\n")

    def _logout(self, line: Line, tag: str, _: str) -> bool:
        line.say(f"* BYE bye\r\n{tag} OK done\r\n")
        return False

    def _login(self, line: Line, tag: str, arguments: str) -> None:
        is_open = any(arguments.endswith(f'"{token}"') for token in self.tokens)
        line.say(f"{tag} OK in\r\n" if is_open else f"{tag} NO [AUTHENTICATIONFAILED] no\r\n")

    def _authenticate(self, line: Line, tag: str, arguments: str) -> None:
        line.say("+ \r\n")
        said = base64.b64decode(line.file.readline()).decode()
        is_open = any(said.endswith((f"\0{token}", f"Bearer {token}\x01\x01")) for token in self.tokens)
        if not is_open and "XOAUTH2" in arguments:
            line.say(b"+ " + base64.b64encode(b'{"status":"400"}') + b"\r\n")
            assert line.file.readline() == b"\r\n", "a refusal is answered by nothing"
        line.say(f"{tag} OK in\r\n" if is_open else f"{tag} NO [AUTHENTICATIONFAILED] no\r\n")

    def _list(self, line: Line, tag: str, _: str) -> None:
        for name, folder in self.folders.items():
            line.say(f'* LIST ({folder.attributes}) "/" "{name}"\r\n')
        line.say(f"{tag} OK done\r\n")

    def opened_read_only(self, line: Line, tag: str, arguments: str) -> bool:
        """An answer to SELECT."""
        self._open(line, tag, arguments, may_write=False)
        return True

    def _examine(self, line: Line, tag: str, arguments: str) -> None:
        self._open(line, tag, arguments, may_write=False)

    def _select(self, line: Line, tag: str, arguments: str) -> None:
        self._open(line, tag, arguments, may_write=True)

    def _open(self, line: Line, tag: str, arguments: str, *, may_write: bool) -> None:
        folder = self.folders.get(arguments.strip('"'))
        if folder is None:
            line.say(f"{tag} NO [NONEXISTENT] none\r\n")
            return
        line.folder, line.may_write = folder, may_write
        line.say(
            f"* FLAGS (\\Seen \\Flagged \\Deleted)\r\n* {len(folder.mails)} EXISTS\r\n* 0 RECENT\r\n"
            f"* OK [UIDVALIDITY {folder.uidvalidity}] ok\r\n* OK [UIDNEXT {folder.next_uid}] ok\r\n"
            f"{tag} OK [READ-{'WRITE' if may_write else 'ONLY'}] done\r\n"
        )

    def _uid_search(self, line: Line, tag: str, arguments: str) -> None:
        found = " ".join(str(mail.uid) for mail in self._chosen(line, arguments.split(" ")[1]))
        line.say(f"* SEARCH {found}\r\n{tag} OK done\r\n")

    def _uid_fetch(self, line: Line, tag: str, arguments: str) -> None:
        uids, _, items = arguments.partition(" ")
        for mail in self._chosen(line, uids):
            line.say(fetched(mail, items))
        line.say(f"{tag} OK done\r\n")

    def _uid_store(self, line: Line, tag: str, arguments: str) -> None:
        assert line.may_write, "STORE in a folder that was opened read-only"
        uids, _, flags = arguments.split(" ", 2)
        for mail in self._chosen(line, uids):
            mail.flags |= set(flags.strip("()").split(" "))
        line.say(f"{tag} OK done\r\n")

    def _uid_copy(self, line: Line, tag: str, arguments: str) -> None:
        uids, _, to = arguments.partition(" ")
        for mail in self._chosen(line, uids):
            self.folders[to.strip('"')].put(mail.content, flags=tuple(mail.flags))
        line.say(f"{tag} OK done\r\n")

    def _uid_move(self, line: Line, tag: str, arguments: str) -> None:
        assert line.may_write, "MOVE out of a folder that was opened read-only"
        assert line.folder is not None
        uids, _, to = arguments.partition(" ")
        for mail in self._chosen(line, uids):
            self.folders[to.strip('"')].put(mail.content, flags=tuple(mail.flags))
            line.folder.mails.remove(mail)
        line.say(f"{tag} OK done\r\n")

    def _uid_expunge(self, line: Line, tag: str, arguments: str) -> None:
        assert line.folder is not None
        for mail in self._chosen(line, arguments):
            if "\\Deleted" in mail.flags:
                line.folder.mails.remove(mail)
        line.say(f"{tag} OK done\r\n")

    def _chosen(self, line: Line, uids: str) -> list[OddMail]:
        assert line.folder is not None
        found = []
        for part in uids.split(","):
            first, _, last = part.partition(":")
            low = max((mail.uid for mail in line.folder.mails), default=0) if first == "*" else int(first)
            found += [mail for mail in line.folder.mails if low <= mail.uid <= int(last or low)]
        return found


def fetched(mail: OddMail, items: str) -> bytes:
    """The answer to a FETCH of these items."""
    wanted = _FIELDS.search(items)
    head, _, _ = mail.content.partition(b"\r\n\r\n")
    if wanted is None:
        name, text = b"BODY[]<0>", mail.content[:65_536]
    else:
        names = tuple(f"{one}:".lower().encode() for one in wanted[1].split(" "))
        lines = [one for one in head.split(b"\r\n") if one.lower().startswith(names)]
        name, text = f"BODY[{wanted[0]}]<0>".encode(), (b"\r\n".join([*lines, b"", b""]))[:4_096]
    flags = f"FLAGS ({' '.join(sorted(mail.flags))}) ".encode() if "FLAGS" in items else b""
    return b"* %d FETCH (UID %d %s%s {%d}\r\n%s)\r\n" % (mail.uid, mail.uid, flags, name, len(text), text)


@contextmanager
def serving(odd: OddImap) -> Iterator[int]:
    """The server's port."""
    with socket.create_server((LOOPBACK, 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    sock, _ = listener.accept()
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=odd.serve, args=(sock,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
