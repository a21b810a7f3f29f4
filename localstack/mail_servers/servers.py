"""Both servers with their mailboxes.

with MailServers(home, passwords={"ann@one.example": "secret"}) as servers:
    imaplib.IMAP4("127.0.0.1", servers.imap_port) …
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import astuple, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from localstack.certificates import Authority, make_authority
from localstack.cloud import homes_folder
from localstack.mail_servers import packages
from localstack.mail_servers.dovecot import Dovecot, DovecotPlan
from localstack.mail_servers.ports import Ports
from localstack.mail_servers.postfix import Postfix, PostfixPlan
from localstack.processes import LOOPBACK, Child, LocalCloudError, close_undisturbed

LONGEST_HOME = 60
"""A socket's path may have 107 letters, and the servers add theirs."""
TRIES = 3


@dataclass
class MailServers:
    """A context manager; see the module's docstring. Everything that runs is gone when the block is left.

    home: folder for all of its files, made anew; a file system that root's servers cannot reach once they gave up root, or a
    path too long for sockets, makes it a link to a folder elsewhere. passwords: the mailboxes, address -> password.
    junk_tenth: about one warm-up mail in ten goes to junk (junk.py). ports: known when the block begins.
    with_postfix: without it, Dovecot runs alone, which needs no root. ghosts: addresses that Postfix takes mail for and Dovecot
    does not know, so that it comes back to its sender.
    Raises LocalCloudError, with one line for a person, when they cannot start.
    """

    home: Path
    passwords: Mapping[str, str] = field(default_factory=dict)
    junk_tenth: bool = False
    with_postfix: bool = True
    ghosts: frozenset[str] = frozenset()
    ports: Ports = field(default_factory=Ports)

    authority: Authority = field(init=False)
    """Trusted by whoever wants to verify the certificate, which is for 127.0.0.1."""
    dovecot: Dovecot = field(init=False)
    postfix: Postfix | None = field(init=False, default=None)
    _held: ExitStack = field(init=False, repr=False, default_factory=ExitStack)

    def __enter__(self) -> Self:
        wanted = self.ports
        for _ in range(TRIES - 1):
            try:
                return self._started()
            except LocalCloudError:
                # Somebody may have taken a free port between its choice and its use.
                if 0 not in astuple(wanted):
                    raise
                self.ports = wanted
        return self._started()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close_undisturbed(self._held)

    @property
    def dovecot_log(self) -> Path:
        """What Dovecot wrote."""
        return self.home / "dovecot.log"

    @property
    def postfix_log(self) -> Path:
        """What Postfix wrote."""
        return self.home / "postfix.log"

    def set_passwords(self, passwords: Mapping[str, str]) -> None:
        """These mailboxes and no others from now on; mails of those that go stay where they are."""
        self.passwords = dict(passwords)
        self.dovecot.write_logins(self.passwords)
        if self.postfix is not None:
            self.postfix.write_mailboxes({address: address for address in (*self.passwords, *self.ghosts)})

    def _started(self) -> Self:
        try:
            self._start()
        except BaseException:
            close_undisturbed(self._held)
            raise
        return self

    def _start(self) -> None:
        unpacked = packages.find()
        self._make_home()
        unpacked = packages.reachable_by_all(unpacked, self.home.resolve())
        real = self.home.resolve()
        (real / "tls").mkdir()
        self.authority = make_authority(real / "tls")
        (real / "tls/authority.pem").write_bytes(self.authority.pem())
        certificate, lmtp, sasl = self.authority.server_pem(LOOPBACK, days=30), real / "lmtp", real / "sasl"
        certificate.chmod(0o600)
        home, log = real / "dovecot", real / "dovecot.log"
        plan = DovecotPlan(home, log, certificate, lmtp, sasl, self.ports, junk_tenth=self.junk_tenth)
        self.dovecot = Dovecot(unpacked, plan)
        self.ports = self.dovecot.ports
        if self.with_postfix:
            home, log = real / "postfix", real / "postfix.log"
            self.postfix = Postfix(unpacked, PostfixPlan(home, log, certificate, lmtp, sasl, self.ports))
            self.ports = self.postfix.ports
        self.set_passwords(self.passwords)
        self.dovecot.start(self._keep)
        if self.postfix is not None:
            self.postfix.start(self._keep)

    def _make_home(self) -> None:
        if self.home.is_symlink():
            shutil.rmtree(self.home.resolve(), ignore_errors=True)
            self.home.unlink()
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.home.chmod(0o755)
        if packages.is_open_to_all(self.home) and len(str(self.home)) <= LONGEST_HOME:
            return
        self.home.rmdir()
        elsewhere = homes_folder()
        elsewhere.mkdir(parents=True, exist_ok=True)
        if not packages.is_open_to_all(elsewhere):
            elsewhere = Path(tempfile.gettempdir())
        real = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=elsewhere))
        real.chmod(0o755)
        self.home.symlink_to(real)

    def _keep(self, child: Child) -> Child:
        self._held.callback(child.stop)
        return child
