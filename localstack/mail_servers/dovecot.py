"""Dovecot: IMAP with STARTTLS and TLS, LMTP, and the logins that Postfix asks it about."""

import imaplib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from localstack.mail_servers import junk
from localstack.mail_servers.packages import Packages, give, mail_user
from localstack.mail_servers.ports import Ports
from localstack.processes import LOOPBACK, Child, wait_until

TEMPLATES = Path(__file__).with_name("templates")
START_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class DovecotPlan:
    """How one Dovecot is laid out.

    home: its own folder. log: the file that it writes. certificate: a file with key and certificate. lmtp, sasl: sockets for
    Postfix. junk_tenth: see junk.sieve_tests.
    """

    home: Path
    log: Path
    certificate: Path
    lmtp: Path
    sasl: Path
    ports: Ports
    junk_tenth: bool = False
    connections_a_mailbox: int = 10


class Dovecot:
    """One server; the ports are known once it is laid out."""

    def __init__(self, packages: Packages, plan: DovecotPlan) -> None:
        """Write its files. Nothing runs yet."""
        self._packages = packages
        self._plan = plan
        self.ports = plan.ports.chosen("imap", "imaps")
        self.mails = plan.home / "mails"
        """domain/name/Maildir below."""
        self._users = plan.home / "users"
        self._config = plan.home / "dovecot.conf"
        self._lay_out()

    def write_logins(self, passwords: Mapping[str, str]) -> None:
        """These mailboxes and no others, address -> password.

        One file a domain: a new domain counts at once, what changes in one that was asked for before within a second.
        """
        lines: dict[str, list[str]] = {path.name: [] for path in self._users.iterdir()}
        for address, password in passwords.items():
            lines.setdefault(address.rpartition("@")[2], []).append(f"{address}:{{PLAIN}}{password}::::::\n")
        for domain, of_domain in lines.items():
            new, text = self._config.with_name("users.new"), "".join(of_domain)
            if not (self._users / domain).exists() or (self._users / domain).read_text() != text:
                new.write_text(text, encoding="utf-8")
                new.chmod(0o644)
                new.replace(self._users / domain)

    def start(self, keep: Callable[[Child], Child]) -> None:
        """Return once it answers. `keep` is told of the process, whatever comes of it. LocalCloudError when it does not."""
        packages = self._packages
        # Dovecot would call doveconf by its compiled-in path; so doveconf, asked for the settings, calls Dovecot.
        command = [
            *(packages.program("doveconf"), "-c", str(self._config), "-p", "-e"),
            *(packages.program("dovecot"), "-F", "-c", str(self._config)),
        ]
        env = {"PATH": os.defpath, "LD_LIBRARY_PATH": packages.library_path, "TZ": "UTC"}
        child = keep(Child("Dovecot", command, env=env, log=self._plan.log, cwd=self._plan.home))
        wait_until(lambda: greets(self.ports.imap), child=child, timeout_s=START_TIMEOUT_S, poll_s=0.02)

    def _lay_out(self) -> None:
        plan, lib = self._plan, self._packages.dovecot_lib
        sieve, run = plan.home / "sieve", plan.home / "run"
        for folder in (self.mails, self._users, sieve, run):
            folder.mkdir(parents=True, exist_ok=True)
        # Dovecot keeps the translated rule beside it.
        give(self.mails)
        give(sieve)
        modules = run / "modules"
        modules.unlink(missing_ok=True)
        modules.symlink_to(lib / "modules")
        rule = Template((TEMPLATES / "junk.sieve").read_text())
        (sieve / "junk.sieve").write_text(rule.substitute(tests=junk.sieve_tests(tenth=plan.junk_tenth)))
        user, group = mail_user()
        values = {
            **{"run": run, "lib": lib, "user": user, "group": group, "certificate": plan.certificate},
            **{"mails": self.mails, "users": self._users, "sieve": sieve, "sasl": plan.sasl, "lmtp": plan.lmtp},
            **{"imap_port": self.ports.imap, "imaps_port": self.ports.imaps},
            "connections_a_mailbox": plan.connections_a_mailbox,
        }
        self._config.write_text(Template((TEMPLATES / "dovecot.conf").read_text()).substitute(values))


def greets(port: int) -> bool:
    """Whether an IMAP server says hello there."""
    try:
        with imaplib.IMAP4(LOOPBACK, port, timeout=5) as server:
            return server.welcome.startswith(b"* OK")
    except (OSError, imaplib.IMAP4.error):
        return False
