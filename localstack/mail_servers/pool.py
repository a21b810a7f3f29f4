"""Invented mailboxes, and the CSV file that imports them into mailtide."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from localstack.mail_servers.ports import Ports
from localstack.processes import LOOPBACK

PASSWORD = "not a secret"
DOMAINS = 25


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox of the pool."""

    mailbox_id: str
    user_id: str
    address: str


def make_pool(mailboxes: int, domains: int = DOMAINS) -> list[Box]:
    """So many mailboxes, spread over the domains, each domain one user's: box-03-07@company-03.example."""
    pool = []
    for number in range(mailboxes):
        place, domain = divmod(number, domains)
        name, user = f"box-{domain + 1:02}-{place + 1:02}", f"company-{domain + 1:02}"
        pool.append(Box(name, user, f"{name}@{user}.example"))
    return sorted(pool, key=lambda box: box.mailbox_id)


def write_csv(
    file: Path, pool: Iterable[Box], ports: Ports, extra: Mapping[str, Mapping[str, object]] | None = None
) -> None:
    """For `mailtide mailboxes import`: SMTP and IMAP with STARTTLS. extra: more columns, by mailbox id."""
    extra = extra or {}
    more = list(next(iter(extra.values()), {}))
    names = ["mailbox_id", "user_id", "address", "display_name", "password", "smtp_host", "smtp_port", "smtp_security"]
    with file.open("w", encoding="utf-8", newline="") as text:
        lines = csv.writer(text)
        lines.writerow([*names, "imap_host", "imap_port", "imap_security", *more])
        for box in pool:
            lines.writerow(
                [
                    *(box.mailbox_id, box.user_id, box.address, f"Somebody of {box.user_id}", PASSWORD),
                    *(LOOPBACK, ports.submission, "starttls", LOOPBACK, ports.imap, "starttls"),
                    *(extra[box.mailbox_id][name] for name in more),
                ]
            )
