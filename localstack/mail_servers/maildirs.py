"""Dovecot's own files: which mails stand in which folder, with which flags, read without asking Dovecot."""

from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from hashlib import sha256
from pathlib import Path

FLAGS = {"D": "\\Draft", "F": "\\Flagged", "R": "\\Answered", "S": "\\Seen", "T": "\\Deleted"}
"""Letters at the end of a file's name (Maildir)."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One mail on disk."""

    address: str
    folder: str
    flags: frozenset[str]
    """Of the five that every server knows; keywords are left out."""
    digest: str
    mail: Message

    @property
    def message_id(self) -> str:
        """Its Message-ID, empty when it has none."""
        return str(self.mail["Message-ID"] or "").strip()


def read_mailboxes(mails: Path) -> Iterator[Stored]:
    """Every mail of every mailbox below Dovecot's folder of mails, in the order of the names."""
    for maildir in sorted(mails.glob("*/*/Maildir")):
        domain, local = maildir.parent.parent.name, maildir.parent.name
        for place in (maildir, *sorted(maildir.glob(".*/"))):
            folder = "INBOX" if place == maildir else place.name.removeprefix(".").replace(".", "/")
            for file in sorted((*place.glob("new/*"), *place.glob("cur/*"))):
                yield _stored(f"{local}@{domain}", folder, file)


def _stored(address: str, folder: str, file: Path) -> Stored:
    content = file.read_bytes()
    letters = file.name.rpartition(":2,")[2] if ":2," in file.name else ""
    flags = frozenset(FLAGS[letter] for letter in letters if letter in FLAGS)
    return Stored(address, folder, flags, sha256(content).hexdigest(), message_from_bytes(content))
