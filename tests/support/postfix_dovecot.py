"""Postfix and Dovecot for the tests (fixture `post` of tests/conftest.py), and what a test does with them.

A test makes mailboxes of its own, so tests that share the servers do not meet.
"""

import hashlib
import imaplib
import itertools
import os
import re
import shutil
import smtplib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from localstack.mail_servers import packages
from localstack.mail_servers.servers import MailServers
from localstack.processes import LOOPBACK

PASSWORD = "correct horse battery staple"
GHOST = "ghost@company-0.example"
"""Postfix takes mail for it and then cannot deliver it: a report (RFC 3464) comes back to the sender."""
WAIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Account:
    """A mailbox on the servers."""

    address: str
    password: str = PASSWORD


@dataclass(frozen=True, slots=True)
class Kept:
    """One mail in a folder. `digest` is of its content, byte for byte."""

    uid: int
    flags: frozenset[str]
    """Without \\Recent, which is of a connection."""
    message_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class Folder:
    """What stands in a folder."""

    uidvalidity: int
    uidnext: int
    mails: tuple[Kept, ...]


class Post:
    """Both servers, with helpers. `servers` has the ports and the certificate's authority."""

    def __init__(self, servers: MailServers) -> None:
        self.servers = servers
        self._numbers = itertools.count(1)

    def need_postfix(self) -> None:
        """Skips, with the reason, where Postfix does not run: its master process insists on root, Dovecot does not."""
        if not self.servers.with_postfix:
            pytest.skip("Postfix runs as root alone")

    def account(self, *, local: str = "", domain: str = "", password: str = PASSWORD) -> Account:
        """A new mailbox with an empty inbox and Junk; its name and domain are its own unless they are given."""
        number = next(self._numbers)
        made = Account(f"{local or f'box-{number}'}@{domain or f'company-{number}.example'}", password)
        self.servers.set_passwords({**self.servers.passwords, made.address: password})
        self._wait_until(lambda: self._opens(made))
        return made

    def set_password(self, account: Account, password: str) -> Account:
        """The account, which opens with another password from now on. Takes up to a second."""
        self.servers.set_passwords({**self.servers.passwords, account.address: password})
        changed = Account(account.address, password)
        self._wait_until(lambda: self._opens(changed))
        return changed

    def remove(self, account: Account) -> None:
        """The mailbox is gone: it takes no mail and opens no more. Takes up to a second."""
        left = {key: value for key, value in self.servers.passwords.items() if key != account.address}
        self.servers.set_passwords(left)
        self._wait_until(lambda: not self._opens(account))

    @contextmanager
    def imap(self, account: Account) -> Iterator[imaplib.IMAP4]:
        """A connection of the standard library's, logged in, without TLS."""
        server = imaplib.IMAP4(LOOPBACK, self.servers.ports.imap, timeout=WAIT_S)
        try:
            server.login(account.address, account.password)
            yield server
        finally:
            server.logout()

    def put(self, account: Account, *contents: bytes, folder: str = "INBOX", flags: str = "") -> list[int]:
        """The uids of these mails, laid into a folder (which is made) with flags such as r"\\Seen $Label"."""
        with self.imap(account) as server:
            if folder not in {"INBOX", "Junk"}:
                server.create(_quoted(folder))
            said = [server.append(_quoted(folder), f"({flags})", None, content) for content in contents]
        return [int(re.findall(rb"APPENDUID \d+ (\d+)", answer[1][0])[0]) for answer in said]

    def deliver(self, sender: str, account: Account, content: bytes) -> None:
        """Hand a mail to Dovecot as Postfix would, through its rules; it has been filed on return."""
        with smtplib.LMTP(str(self.servers.home.resolve() / "lmtp")) as server:
            server.sendmail(sender, [account.address], content)

    def folders(self, account: Account) -> dict[str, Folder]:
        """Everything that stands in a mailbox, read without changing it."""
        with self.imap(account) as server:
            lines = [line for line in server.list()[1] if isinstance(line, bytes) and b"\\Noselect" not in line]
            names = sorted(line.rpartition(b' "/" ')[2].decode().strip('"') for line in lines)
            return {name: _examine(server, name) for name in names}

    def mails(self, account: Account, folder: str = "INBOX") -> list[Message]:
        """The mails of a folder by uid, read without changing it."""
        with self.imap(account) as server:
            server.select(_quoted(folder), readonly=True)
            found = server.uid("fetch", "1:*", "(BODY.PEEK[])")[1]
        return [message_from_bytes(one[1]) for one in found if isinstance(one, tuple)]

    def wait_for(self, account: Account, condition: Callable[[dict[str, Folder]], bool]) -> dict[str, Folder]:
        """The folders, once the condition holds; AssertionError when it never does."""
        self._wait_until(lambda: condition(self.folders(account)))
        return self.folders(account)

    def renew_uidvalidity(self, account: Account, folder: str = "INBOX") -> None:
        """Let the server forget its numbers of a folder, as after a repair: UIDVALIDITY and all uids change."""
        before = self.folders(account)[folder].uidvalidity
        local, _, domain = account.address.partition("@")
        maildir = self.servers.dovecot.mails / domain / local / "Maildir"
        place = maildir if folder == "INBOX" else maildir / f".{folder.replace('/', '.')}"
        for name in ("dovecot.index", "dovecot.index.log", "dovecot.index.cache"):
            (place / name).unlink(missing_ok=True)
        for shared in maildir.glob("dovecot.list.index*"):
            shared.unlink()
        # Dovecot's list of uids, with another number in its header and without its uids.
        uids = place / "dovecot-uidlist"
        header = re.sub(r"V\d+ N\d+", f"V{before + 1} N1", uids.read_text().partition("\n")[0])
        uids.write_text(header + "\n")

    def _opens(self, account: Account) -> bool:
        try:
            with self.imap(account):
                return True
        except imaplib.IMAP4.error:
            return False

    @staticmethod
    def _wait_until(condition: Callable[[], bool]) -> None:
        ends_at = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < ends_at, f"waited {WAIT_S:.0f} s for nothing"
            time.sleep(0.02)


@contextmanager
def serving(home: Path) -> Iterator[Post]:
    """Both servers while the block runs. Skips where they cannot be had, and fails where they are only not set up."""
    if (why := packages.why_not()) is not None:
        pytest.skip(why)
    try:
        with MailServers(home, with_postfix=os.geteuid() == 0, ghosts=frozenset({GHOST})) as servers:
            yield Post(servers)
    finally:
        shutil.rmtree(home.resolve(), ignore_errors=True)


def _examine(server: imaplib.IMAP4, name: str) -> Folder:
    server.select(_quoted(name), readonly=True)
    uidvalidity = int(server.response("UIDVALIDITY")[1][0])
    uidnext = int(server.response("UIDNEXT")[1][0])
    found = server.uid("fetch", "1:*", "(UID FLAGS BODY.PEEK[])")[1]
    return Folder(uidvalidity, uidnext, tuple(_kept(one[0], one[1]) for one in found if isinstance(one, tuple)))


def _kept(head: bytes, content: bytes) -> Kept:
    flags = re.findall(rb"FLAGS \(([^)]*)\)", head)[0].decode().split()
    return Kept(
        int(re.findall(rb"UID (\d+)", head)[0]),
        frozenset(flags) - {"\\Recent"},
        str(message_from_bytes(content)["Message-ID"] or ""),
        hashlib.sha256(content).hexdigest(),
    )


def _quoted(name: str) -> str:
    return f'"{name}"'
