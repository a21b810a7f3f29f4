"""Other people's mail in the mailboxes of a day: whoever reads warm-up mail must leave all of it as it is."""

import imaplib
import random
from collections.abc import Iterable
from email.message import EmailMessage

from localstack.mail_servers.pool import PASSWORD
from localstack.processes import LOOPBACK, LocalCloudError
from mailtide.warmup.message import TAG, TAG_HEADER

FLAGS = ("", "\\Seen", "\\Flagged", "\\Answered \\Seen", "\\Draft")
FOLDERS = ("INBOX", "INBOX", "Junk", "Work")


def lay_down(imap_port: int, addresses: Iterable[str], day: str, *, seed: int = 7) -> int:
    """Put six mails of other people into each mailbox, half of which claim to be of the warm-up; how many there are.

    day: YYYYMMDD, for Message-IDs that look like the warm-up's. LocalCloudError when Dovecot does not take one.
    """
    chance = random.Random(seed)
    count = 0
    for address in addresses:
        with imaplib.IMAP4(LOOPBACK, imap_port) as server:
            server.login(address, PASSWORD)
            server.create("Work")
            for number in range(6):
                content = _mail(chance, address, day, number, is_forged=number % 2 == 0)
                flags = f"({chance.choice(FLAGS)})"
                said, _ = server.append(FOLDERS[number % len(FOLDERS)], flags, "", content)
                if said != "OK":
                    raise LocalCloudError(f"Dovecot did not take a mail for {address}")
                count += 1
    return count


def _mail(chance: random.Random, address: str, day: str, number: int, *, is_forged: bool) -> bytes:
    mail = EmailMessage()
    local, _, domain = address.partition("@")
    mail["From"] = f"somebody-{chance.randrange(1000)}@stranger.example"
    mail["To"] = address
    mail["Subject"] = f"About {chance.randrange(10_000)}"
    # A send id of this very mailbox, or one that nobody ever had.
    mail["Message-ID"] = f"<{day}.{local}.{number}@{domain}>" if is_forged else f"<{chance.getrandbits(64):x}@stranger>"
    if is_forged:
        mail[TAG_HEADER] = TAG
    mail.set_content(f"Number {number}, and {chance.getrandbits(64):x}.")
    return mail.as_bytes()
