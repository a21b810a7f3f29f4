"""The accounts of a day notice each promise that is not kept. A day of two mailboxes: a mail, a mail to junk, and a reply."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from email import message_from_string

import pytest

from localstack.mail_servers.accounts import Evidence, judge
from localstack.mail_servers.logs import Filed, PostfixEvents, Queued
from localstack.mail_servers.maildirs import Stored

ANN, BOB = "box-1@one.example", "box-2@two.example"
FIRST, JUNK, REPLY = (
    "<20261121.box-1.0@one.example>",
    "<20261121.box-1.1@one.example>",
    "<20261121.box-2.0@two.example>",
)
SEEN = frozenset({"\\Seen"})


def queued(message_id: str, sender: str, recipient: str, at_s: float) -> Queued:
    return Queued(f"Q{message_id}", at_s, sender, sender, message_id, is_taken=True, delivered=[recipient])


def stored(message_id: str, address: str, *, folder: str = "INBOX", answers: str = "") -> Stored:
    thread = f"In-Reply-To: {answers}\nReferences: {answers}\n" if answers else ""
    mail = message_from_string(f"Subject: Hello\nMessage-ID: {message_id}\n{thread}\nText\n")
    return Stored(address, folder, SEEN, message_id, mail)


def filed(message_id: str, address: str, folder: str, at_s: float) -> list[Filed]:
    found = [
        Filed(at_s, "lmtp", address, "save", "", folder, 1, message_id, frozenset()),
        Filed(at_s + 5, "imap", address, "flag_change", "", folder, 1, message_id, SEEN),
    ]
    if folder == "Junk":
        found.append(Filed(at_s + 5, "imap", address, "copy", "Junk", "INBOX", 2, message_id, SEEN))
        found.append(Filed(at_s + 5, "imap", address, "expunge", "", "Junk", 1, message_id, SEEN))
    return found


def good_day() -> Evidence:
    mails = [queued(FIRST, ANN, BOB, 100.0), queued(JUNK, ANN, BOB, 101.0), queued(REPLY, BOB, ANN, 110.0)]
    stranger = Stored(BOB, "Junk", frozenset(), "digest", message_from_string(f"Message-ID: {FIRST}\n\nForged\n"))
    return Evidence(
        targets={ANN: 2, BOB: 1},
        postfix=PostfixEvents({mail.queue_id: mail for mail in mails}),
        dovecot=[*filed(FIRST, BOB, "INBOX", 101), *filed(JUNK, BOB, "Junk", 102), *filed(REPLY, ANN, "INBOX", 111)],
        stored=[stored(FIRST, BOB), stored(JUNK, BOB), stored(REPLY, ANN, answers=FIRST), stranger],
        strangers=frozenset({(BOB, "Junk", frozenset(), "digest")}),
        ledger_sent=3,
        placed=Counter(inbox=2, junk=1),
        dead_letters=0,
    )


def broken(evidence: Evidence) -> set[str]:
    return {promise.what for promise in judge(evidence) if not promise.is_kept}


def test_a_good_day_keeps_every_promise() -> None:
    assert broken(good_day()) == set()
    assert len(judge(good_day())) == 20


def without(evidence: Evidence, message_id: str) -> Evidence:
    return replace(evidence, stored=[one for one in evidence.stored if one.message_id != message_id])


def changed(evidence: Evidence, message_id: str, **changes: object) -> Evidence:
    new = [replace(one, **changes) if one.message_id == message_id else one for one in evidence.stored]  # type: ignore[arg-type]  # any field
    return replace(evidence, stored=new)


def twice(evidence: Evidence) -> Evidence:
    again = queued(FIRST, ANN, BOB, 120.0)
    return replace(evidence, postfix=PostfixEvents({**evidence.postfix.by_id, "again": again}))


def refused(evidence: Evidence) -> Evidence:
    refusals = Counter({(550, "5.1.1", BOB): 1})
    return replace(evidence, postfix=PostfixEvents(evidence.postfix.by_id, refusals))


def answered_early(evidence: Evidence) -> Evidence:
    early = replace(evidence.postfix.by_id[f"Q{REPLY}"], at_s=105.0)
    return replace(evidence, postfix=PostfixEvents({**evidence.postfix.by_id, early.queue_id: early}))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (twice, "mails taken twice"),
        (refused, "commands and logins refused"),
        (answered_early, "replies after their mail was read"),
        (lambda day: without(day, REPLY), "mails stored once, for their recipient"),
        (lambda day: replace(day, stored=[*day.stored, stored(JUNK, BOB)]), "mails stored once, for their recipient"),
        (lambda day: changed(day, REPLY, address=BOB), "mails stored once, for their recipient"),
        (lambda day: changed(day, JUNK, folder="Junk"), "mails of ours in junk at the end"),
        (lambda day: changed(day, REPLY, flags=frozenset()), "mails read"),
        (
            lambda day: changed(day, REPLY, mail=stored(REPLY, ANN, answers=JUNK.replace("1@", "9@")).mail),
            "replies in the thread of what they answer",
        ),
        (
            lambda day: replace(day, strangers=day.strangers | {(BOB, "INBOX", SEEN, "gone")}),
            "other people's mails as they were",
        ),
        (lambda day: replace(day, dovecot=day.dovecot[2:]), "mails filed"),
        (
            lambda day: replace(day, dovecot=[*filed(FIRST, BOB, "Junk", 101), *day.dovecot[2:]]),
            "of these in the folder of the rule",
        ),
        (lambda day: replace(day, dovecot=[one for one in day.dovecot if not one.source]), "mails rescued from junk"),
        (lambda day: replace(day, ledger_sent=2), "mails that the ledger says are sent"),
        (lambda day: replace(day, placed=Counter(inbox=2, missing=1)), "mails given up as missing"),
        (lambda day: replace(day, dead_letters=1), "messages that failed for good"),
        (lambda day: replace(day, targets={ANN: 1, BOB: 2}), "mailboxes that wrote their quota"),
    ],
)
def test_each_broken_promise_is_noticed(change: Callable[[Evidence], Evidence], what: str) -> None:
    assert what in broken(change(good_day()))
