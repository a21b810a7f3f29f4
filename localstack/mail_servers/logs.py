"""Both servers' logs as events: what became of each mail, by its Message-ID."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

type Action = Literal["save", "copy", "expunge", "flag_change"]
"""Of Dovecot's plugin mail_log. A mail that is moved is copied to one folder and expunged from the other."""

_QUEUED = re.compile(r"^(\w{3} [ \d]\d [\d:]{8}) \S+ postfix/\S+\[\d+\]: ([0-9A-Za-z]{6,}): (.*)")
_REFUSED = re.compile(r"reject: \w+ from \S+: (\d{3}) (\d\.\d+\.\d+) .*? from=<(.*?)>(?: to=<(.*?)>)?")
_LOGIN_REFUSED = re.compile(r"SASL (?:PLAIN|LOGIN) authentication failed:")
_FILED = re.compile(
    r"^(\S+)Z (lmtp|imap)\(([^)]+)\)<.*?: Info: (save|copy|expunge|flag_change)(?: from (.*?))?: "
    r"box=(.*), uid=(\d+), msgid=(.*), flags=\((.*)\)$"
)


@dataclass(slots=True)
class Queued:
    """One mail that Postfix began to take, or made itself (then without login)."""

    queue_id: str
    at_s: float
    """Seconds since 1970, whole ones: when Postfix began to take it."""
    login: str = ""
    sender: str = ""
    message_id: str = ""
    is_taken: bool = False
    """Whether it said yes after DATA. A client that goes away before leaves a queue id and no mail."""
    delivered: list[str] = field(default_factory=list)
    """Recipients for whom Dovecot said yes."""
    bounced: list[str] = field(default_factory=list)
    """Recipients for whom it never will."""


@dataclass(slots=True)
class PostfixEvents:
    """A log of Postfix, as far as it was fed."""

    by_id: dict[str, Queued] = field(default_factory=dict)
    """Mails by queue id, in the order in which they were queued."""
    refused: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    """Commands that were refused: code, enhanced code, recipient (or the sender where there was none)."""
    logins_refused: int = 0

    @property
    def queued(self) -> list[Queued]:
        """The mails, in that order."""
        return list(self.by_id.values())

    def feed(self, lines: Iterable[str]) -> None:
        """The next lines of the log."""
        for line in lines:
            if found := _REFUSED.search(line):
                self.refused[int(found[1]), found[2], found[4] or found[3]] += 1
            elif _LOGIN_REFUSED.search(line):
                self.logins_refused += 1
            elif found := _QUEUED.search(line):
                mail = self.by_id.get(found[2]) or self.by_id.setdefault(
                    found[2], Queued(found[2], _syslog_s(found[1]))
                )
                _note(mail, found[3])


@dataclass(frozen=True, slots=True)
class Filed:
    """One mail in one folder, as Dovecot wrote it down."""

    at_s: float
    """Seconds since 1970, whole ones."""
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
    """What Postfix did."""
    events = PostfixEvents()
    events.feed(lines)
    return events


def read_dovecot(lines: Iterable[str]) -> Iterator[Filed]:
    """What Dovecot did to mails, in its order."""
    for line in lines:
        if found := _FILED.search(line.rstrip("\n")):
            at, program, address, action, source, folder, uid, message_id, flags = found.groups()
            yield Filed(
                datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp(),
                program,  # type: ignore[arg-type]  # one of the expression's
                address,
                action,  # type: ignore[arg-type]  # likewise
                source or "",
                folder,
                int(uid),
                message_id,
                frozenset(flags.split()) - {"\\Recent"},
            )


def _syslog_s(text: str) -> float:
    """Postfix names no year: it is this one, or in the first days of January the last."""
    now = datetime.now(UTC)
    moment = datetime.strptime(f"{now.year} {text}", "%Y %b %d %H:%M:%S").replace(tzinfo=UTC)
    if moment > now + timedelta(days=1):
        moment = moment.replace(year=now.year - 1)
    return moment.timestamp()


def _note(mail: Queued, text: str) -> None:
    if found := re.search(r"sasl_username=(\S+)", text):
        mail.login = found[1]
    elif text.startswith("message-id="):
        mail.message_id = text.removeprefix("message-id=").strip()
    elif found := re.match(r"from=<(.*?)>", text):
        mail.sender = found[1]
        mail.is_taken = True
    elif found := re.match(r"to=<(.*?)>.* status=(\w+)", text):
        ends = {"sent": mail.delivered, "bounced": mail.bounced}
        ends.get(found[2], []).append(found[1])
