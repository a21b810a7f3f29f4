"""Postfix: submission with STARTTLS and SASL, and delivery to Dovecot by LMTP. Its master process insists on root."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from localstack.mail_servers.packages import Packages
from localstack.mail_servers.ports import Ports
from localstack.processes import LOOPBACK, Child, LocalCloudError, wait_until

TEMPLATES = Path(__file__).with_name("templates")
GUARD = Path(__file__).with_name("guard.py")
START_TIMEOUT_S = 30.0
OWNER = "mail"
SETGID_GROUP = "daemon"
"""Postfix wants a user and a group that it shares with nobody else here; every Debian has these two."""
_PRIVATE = (
    "active",
    "bounce",
    "corrupt",
    "defer",
    "deferred",
    "flush",
    "hold",
    "incoming",
    "private",
    "saved",
    "trace",
)


@dataclass(frozen=True, slots=True)
class PostfixPlan:
    """How one Postfix is laid out.

    home: its own folder. log: the file that it writes. certificate: a file with key and certificate. lmtp, sasl: Dovecot's
    sockets.
    """

    home: Path
    log: Path
    certificate: Path
    lmtp: Path
    sasl: Path
    ports: Ports


class Postfix:
    """One server; the ports are known once it is laid out."""

    def __init__(self, packages: Packages, plan: PostfixPlan) -> None:
        """Write its files. Nothing runs yet. LocalCloudError where it is not root that asks."""
        if os.geteuid() != 0:
            raise LocalCloudError("Postfix runs as root alone; Dovecot does without")
        self._packages = packages
        self._plan = plan
        self.ports = plan.ports.chosen("submission", "smtps", "plain")
        self._config = plan.home / "config"
        self._env = {"PATH": os.defpath, "LD_LIBRARY_PATH": packages.library_path, "TZ": "UTC"}
        self._lay_out()

    def write_mailboxes(self, logins: Mapping[str, str]) -> None:
        """Recipients that exist and no others: address -> who may write as it. Counts from the next connection on."""
        file = self._config / "new"
        file.write_text("".join(f"{address.lower()} {login}\n" for address, login in logins.items()), encoding="utf-8")
        command = [self._packages.program("postmap"), "-c", str(self._config), f"hash:{file}"]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode:
            raise LocalCloudError(f"postmap: {done.stderr.strip()}")
        # A new file is noticed at once; one that is written again, only when the second of the clock is another.
        file.with_name("new.db").replace(self._config / "mailboxes.db")

    def start(self, keep: Callable[[Child], Child]) -> None:
        """Return once it answers. `keep` is told of the process, whatever comes of it. LocalCloudError when it does not."""
        master = str(self._packages.postfix_lib / "sbin/master")
        env = {**self._env, "MAIL_CONFIG": str(self._config)}
        output = self._plan.home / "master.log"
        command = [sys.executable, "-IS", str(GUARD), master, "-s", "-c", str(self._config)]
        child = keep(Child("Postfix", command, env=env, log=output, cwd=self._plan.home))
        wait_until(lambda: greets(self.ports.plain), child=child, timeout_s=START_TIMEOUT_S, poll_s=0.02)

    def _lay_out(self) -> None:
        plan = self._plan
        queue, data = plan.home / "queue", plan.home / "data"
        for folder in (self._config, queue, queue / "pid", data):
            folder.mkdir(parents=True)
        for name in _PRIVATE:
            (queue / name).mkdir(mode=0o700)
            shutil.chown(queue / name, OWNER)
        for name, mode in (("public", 0o2710), ("maildrop", 0o1730)):
            (queue / name).mkdir()
            shutil.chown(queue / name, OWNER, SETGID_GROUP)
            (queue / name).chmod(mode)
        shutil.chown(data, OWNER)
        values = {
            **{"config": self._config, "queue": queue, "data": data, "lib": self._packages.postfix_lib},
            **{
                "commands": Path(self._packages.program("postmap")).parent,
                "owner": OWNER,
                "setgid_group": SETGID_GROUP,
            },
            **{"log": plan.log, "log_folder": plan.log.parent, "certificate": plan.certificate},
            **{"mailboxes_map": f"hash:{self._config}/mailboxes", "lmtp": plan.lmtp, "sasl": plan.sasl},
            **{f"{name}_port": getattr(self.ports, name) for name in ("submission", "smtps", "plain")},
        }
        for name in ("main.cf", "master.cf"):
            (self._config / name).write_text(Template((TEMPLATES / name).read_text()).substitute(values))
            # Each of its programs waits for two seconds where a file has just been written, lest somebody is writing still.
            os.utime(self._config / name, (0, 0))


def greets(port: int) -> bool:
    """Whether an SMTP server says hello there."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=5) as connection, connection.makefile("rb") as lines:
            return lines.readline().startswith(b"220 ")
    except OSError:
        return False
