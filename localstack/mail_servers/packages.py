"""Where the unpacked servers are, and as whom they run."""

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from localstack.cloud import TOOLS
from localstack.processes import LocalCloudError

FOLDER = TOOLS / "mail"
MAIL_USER = "nobody"
"""Whose processes and mails these are, when root starts them: Dovecot refuses to keep mails as root."""


@dataclass(frozen=True, slots=True)
class Packages:
    """The unpacked packages below `root`."""

    root: Path

    @property
    def dovecot_lib(self) -> Path:
        """Dovecot's programs and libraries."""
        return self.root / "usr/lib/dovecot"

    @property
    def postfix_lib(self) -> Path:
        """Postfix' libraries; its programs are in sbin below."""
        return self.root / "usr/lib/postfix"

    def program(self, name: str) -> str:
        """Path of a command of either."""
        folder = next(each for each in ("usr/sbin", "usr/bin") if (self.root / each / name).exists())
        return str(self.root / folder / name)

    @property
    def library_path(self) -> str:
        """For LD_LIBRARY_PATH."""
        machine = [*self.root.glob("usr/lib/*-linux-gnu*"), *self.root.glob("lib/*-linux-gnu*")]
        own = [self.dovecot_lib, self.dovecot_lib / "modules/old-stats", self.postfix_lib]
        return ":".join(map(str, own + machine))


def why_not() -> str | None:
    """Why these servers cannot be had on this computer, as one sentence without its full stop; None where they can."""
    said = FOLDER / "why-not"
    return said.read_text().strip() if said.exists() else None


def find() -> Packages:
    """The unpacked packages. LocalCloudError, with one line for a person, where there are none."""
    if (why := why_not()) is not None:
        raise LocalCloudError(why)
    if not (FOLDER / "root/usr/sbin/dovecot").exists():
        raise LocalCloudError("Postfix and Dovecot are not unpacked yet; run: make .tools/mail/.stamp")
    return Packages(FOLDER / "root")


def reachable_by_all(packages: Packages, home: Path) -> Packages:
    """The packages, or a copy below `home`: servers that gave up root must still be able to read their own programs."""
    if os.geteuid() != 0 or is_open_to_all(packages.root):
        return packages
    copy = home / "packages"
    shutil.copytree(packages.root, copy, symlinks=True)
    return Packages(copy)


def is_open_to_all(folder: Path) -> bool:
    """Whether anybody may enter the folder, and each one above it."""
    return all(each.stat().st_mode & 0o001 for each in (folder, *folder.parents))


def mail_user() -> tuple[str, str]:
    """User and group, by name, of the servers' own processes and mails."""
    user = pwd.getpwnam(MAIL_USER) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    return user.pw_name, _group_name(user.pw_gid)


def _group_name(gid: int) -> str:
    import grp

    return grp.getgrgid(gid).gr_name


def give(path: Path) -> None:
    """Make the mail user the owner of a file or folder, where root made it."""
    if os.geteuid() == 0:
        user = pwd.getpwnam(MAIL_USER)
        os.chown(path, user.pw_uid, user.pw_gid)
