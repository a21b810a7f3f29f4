"""What a day of the warm-up promised, held against both servers' logs, Dovecot's files and the ledger."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from localstack.mail_servers.junk import is_junk
from localstack.mail_servers.logs import Filed, PostfixEvents, Queued
from localstack.mail_servers.maildirs import Stored


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known after a day."""

    targets: Mapping[str, int]
    """Address -> mails that it is to write."""
    postfix: PostfixEvents
    dovecot: Sequence[Filed]
    stored: Sequence[Stored]
    """Mails in Dovecot's folders at the end."""
    strangers: frozenset[tuple[str, str, frozenset[str], str]]
    """Other people's mails as they were laid down: address, folder, flags, digest."""
    ledger_sent: int
    placed: Counter[str]
    """Placements by verdict."""
    dead_letters: int


@dataclass(frozen=True, slots=True)
class Promise:
    """One line of the table."""

    what: str
    where: str
    expected: int
    found: int

    @property
    def is_kept(self) -> bool:
        """Whether it came out as promised."""
        return self.expected == self.found


def judge(evidence: Evidence) -> list[Promise]:
    """Every promise of the day."""
    ours = _Ours(evidence)
    planned = sum(evidence.targets.values())
    return [*_sent(evidence, ours, planned), *_landed(evidence, ours), *_answered(ours), *_untouched(evidence)]


class _Ours:
    """The warm-up's mails in each of the sources."""

    def __init__(self, evidence: Evidence) -> None:
        self.queued = [mail for mail in evidence.postfix.queued if mail.login and mail.is_taken]
        self.by_id = {mail.message_id: mail for mail in self.queued}
        self.filed = [one for one in evidence.dovecot if one.program == "lmtp" and one.message_id in self.by_id]
        others = {(address, digest) for address, _, _, digest in evidence.strangers}
        own = [one for one in evidence.stored if (one.address, one.digest) not in others]
        self.stored = [one for one in own if one.message_id in self.by_id]
        self.mails = {one.message_id: one for one in self.stored}
        self.replies = [one for one in self.stored if one.mail["In-Reply-To"]]
        self.seen_at_s = _seen_at_s(evidence.dovecot)

    def is_junk(self, message_id: str) -> bool:
        """What the rule says of a mail that is stored somewhere."""
        stored = self.mails.get(message_id)
        return stored is not None and is_junk(str(stored.mail["Subject"]), message_id, tenth=True)


def _sent(evidence: Evidence, ours: _Ours, planned: int) -> Iterable[Promise]:
    senders = Counter(mail.sender for mail in ours.queued)
    full = sum(senders[address] == target for address, target in evidence.targets.items())
    delivered = [address for mail in ours.queued for address in mail.delivered]
    refused = evidence.postfix.refused.total() + evidence.postfix.logins_refused
    yield Promise("mails that the ledger says are sent", "ledger", planned, evidence.ledger_sent)
    yield Promise("mails that Postfix took", "Postfix' log", planned, len(ours.queued))
    yield Promise("mails taken twice", "Postfix' log", 0, len(ours.queued) - len(ours.by_id))
    yield Promise("mailboxes that wrote their quota", "Postfix' log", len(evidence.targets), full)
    yield Promise("commands and logins refused", "Postfix' log", 0, refused)
    yield Promise("mails handed to Dovecot", "Postfix' log", planned, len(delivered))
    yield Promise("mails that came back", "Postfix' log", 0, sum(len(mail.bounced) for mail in evidence.postfix.queued))
    yield Promise("messages that failed for good", "queues", 0, evidence.dead_letters)


def _landed(evidence: Evidence, ours: _Ours) -> Iterable[Promise]:
    rightly = sum(_is_rightly_filed(one, ours) for one in ours.filed)
    junk = sum(one.folder == "Junk" for one in ours.filed)
    moved = [one for one in evidence.dovecot if one.program == "imap" and one.message_id in ours.by_id]
    seen = sum("\\Seen" in one.flags for one in ours.stored)
    yield Promise("mails filed", "Dovecot's log", len(ours.queued), len(ours.filed))
    yield Promise("of these in the folder of the rule", "both logs", len(ours.filed), rightly)
    yield Promise("mails stored once, for their recipient", "files", len(ours.queued), _stored_once(ours))
    yield Promise("mails found in the inbox", "placements", len(ours.filed) - junk, evidence.placed["inbox"])
    yield Promise("mails found in junk", "placements", junk, evidence.placed["junk"])
    yield Promise("mails given up as missing", "placements", 0, evidence.placed["missing"])
    rescued = sum(one.action == "copy" and (one.source, one.folder) == ("Junk", "INBOX") for one in moved)
    yield Promise("mails rescued from junk", "Dovecot's log", junk, rescued)
    yield Promise("mails of ours in junk at the end", "files", 0, sum(one.folder == "Junk" for one in ours.stored))
    yield Promise("mails read", "files", len(ours.queued), seen)


def _answered(ours: _Ours) -> Iterable[Promise]:
    threaded = sum(_is_threaded(one, ours) for one in ours.replies)
    after = sum(_is_after_reading(one, ours) for one in ours.replies)
    yield Promise("replies in the thread of what they answer", "files", len(ours.replies), threaded)
    yield Promise("replies after their mail was read", "both logs", len(ours.replies), after)


def _untouched(evidence: Evidence) -> Iterable[Promise]:
    now = {(one.address, one.folder, one.flags, one.digest) for one in evidence.stored}
    yield Promise("other people's mails as they were", "files", len(evidence.strangers), len(evidence.strangers & now))


def _is_rightly_filed(filed: Filed, ours: _Ours) -> bool:
    queued = ours.by_id[filed.message_id]
    folder = "Junk" if ours.is_junk(filed.message_id) else "INBOX"
    return filed.folder == folder and queued.delivered == [filed.address]


def _stored_once(ours: _Ours) -> int:
    copies = Counter(one.message_id for one in ours.stored)
    return sum(
        copies[mail.message_id] == 1 and mail.delivered == [ours.mails[mail.message_id].address] for mail in ours.queued
    )


def _is_threaded(reply: Stored, ours: _Ours) -> bool:
    original = ours.by_id.get(str(reply.mail["In-Reply-To"]))
    answer: Queued = ours.by_id[reply.message_id]
    return (
        original is not None
        and reply.mail["References"] == reply.mail["In-Reply-To"]
        and original.delivered == [answer.sender]
        and answer.delivered == [original.sender]
    )


def _is_after_reading(reply: Stored, ours: _Ours) -> bool:
    read_s = ours.seen_at_s.get(str(reply.mail["In-Reply-To"]))
    return read_s is not None and read_s <= ours.by_id[reply.message_id].at_s


def _seen_at_s(filed: Iterable[Filed]) -> dict[str, float]:
    """Message-ID -> when it was first marked as seen."""
    found: dict[str, float] = {}
    for one in filed:
        if one.action == "flag_change" and "\\Seen" in one.flags:
            found.setdefault(one.message_id, one.at_s)
    return found
