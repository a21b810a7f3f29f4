"""Both servers' logs as events: what became of each mail, by its Message-ID."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

type Action = Literal["save", "copy", "expunge", "flag_change"]
"""Of Dovecot's plugin mail_log. A mail that is moved is copied to one folder and expunged from the other."""

_QUEUED = re.compile(r"postfix/\S+\[\d+\]: ([0-9A-Za-z]{6,}): (.*)")
_REFUSED = re.compile(r"reject: \w+ from \S+: (\d{3}) (\d\.\d+\.\d+) .*? from=<(.*?)>(?: to=<(.*?)>)?")
_LOGIN_REFUSED = re.compile(r"SASL (?:PLAIN|LOGIN) authentication failed:")
_FILED = re.compile(
    r"(lmtp|imap)\(([^)]+)\)<.*?: Info: (save|copy|expunge|flag_change)(?: from (.*?))?: "
    r"box=(.*), uid=(\d+), msgid=(.*), flags=\((.*)\)$"
)


@dataclass(slots=True)
class Queued:
    """One mail that Postfix said yes to (or made itself, then without login)."""

    queue_id: str
    login: str = ""
    sender: str = ""
    message_id: str = ""
    delivered: list[str] = field(default_factory=list)
    """Recipients for whom Dovecot said yes."""
    bounced: list[str] = field(default_factory=list)
    """Recipients for whom it never will."""


@dataclass(frozen=True, slots=True)
class PostfixEvents:
    """A whole log of Postfix."""

    queued: list[Queued]
    refused: Counter[tuple[int, str, str]]
    """Commands that were refused: code, enhanced code, recipient (or the sender where there was none)."""
    logins_refused: int


@dataclass(frozen=True, slots=True)
class Filed:
    """One mail in one folder, as Dovecot wrote it down."""

    program: Literal["lmtp", "imap"]
    address: str
    action: Action
    source: str
    """The folder that it was copied from, else empty."""
    folder: str
    uid: int
    message_id: str
    flags: frozenset[str]
    """After it. Without \\Recent."""


def read_postfix(lines: Iterable[str]) -> PostfixEvents:
    """What Postfix did, mails in the order in which they were queued."""
    queued: dict[str, Queued] = {}
    refused: Counter[tuple[int, str, str]] = Counter()
    logins_refused = 0
    for line in lines:
        if found := _REFUSED.search(line):
            refused[int(found[1]), found[2], found[4] or found[3]] += 1
        elif _LOGIN_REFUSED.search(line):
            logins_refused += 1
        elif found := _QUEUED.search(line):
            _note(queued.setdefault(found[1], Queued(found[1])), found[2])
    return PostfixEvents(list(queued.values()), refused, logins_refused)


def read_dovecot(lines: Iterable[str]) -> Iterator[Filed]:
    """What Dovecot did to mails, in its order."""
    for line in lines:
        if found := _FILED.search(line.rstrip("\n")):
            program, address, action, source, folder, uid, message_id, flags = found.groups()
            yield Filed(
                program,  # type: ignore[arg-type]  # one of the expression's
                address,
                action,  # type: ignore[arg-type]  # likewise
                source or "",
                folder,
                int(uid),
                message_id,
                frozenset(flags.split()) - {"\\Recent"},
            )


def _note(mail: Queued, text: str) -> None:
    if found := re.search(r"sasl_username=(\S+)", text):
        mail.login = found[1]
    elif text.startswith("message-id="):
        mail.message_id = text.removeprefix("message-id=").strip()
    elif found := re.match(r"from=<(.*?)>", text):
        mail.sender = found[1]
    elif found := re.match(r"to=<(.*?)>.* status=(\w+)", text):
        ends = {"sent": mail.delivered, "bounced": mail.bounced}
        ends.get(found[2], []).append(found[1])
