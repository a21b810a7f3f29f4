"""The promise: a visit changes our own mails as the owner wishes, and nothing else in a mailbox, ever."""

import itertools
from collections.abc import Callable, Mapping

import pytest

from mailtide.warmup.contracts import RoundState
from mailtide.warmup.ids import SendId, message_id
from mailtide.warmup.message import TAG_HEADER
from mailtide.warmup.reading.contracts import Placement
from tests.support.postfix_dovecot import Account, Folder, Kept, Post
from tests.support.reading_pool import ReadingPool
from tests.support.reports import bounce
from tests.support.warmup_pools import DAY

type MakePool = Callable[..., tuple[ReadingPool, Account]]

FOLDERS = ("INBOX", "Junk", "Archive", "Clients/A &- B")
FLAGS = ("", r"\Seen", r"\Deleted", r"\Flagged \Answered", r"\Seen \Deleted \Draft", "Label $Forwarded")


def forgeries(pool: ReadingPool) -> list[bytes]:
    """Mails that pass for ours at a glance."""
    # Of one round both its mails would be possible.
    reply, _, _ = pool.planned_reply(to=0)
    real, unsent, failed = [one for one in pool.to(0) if one != reply][:3]
    pool.leave(failed, RoundState.FAILED)
    sender = pool.book.mailboxes[real.mailbox_id]
    genuine = pool.mail(real, 0)
    to_another = next(one for one in pool.to(1) if one.mailbox_id != "box-0")
    pool.leave(to_another, RoundState.SENT)
    tag = f"{TAG_HEADER}: yes".encode()
    return [
        genuine.replace(sender.address.encode(), b"stranger@else.example"),
        genuine.replace(b"@" + sender.domain.encode() + b">\r\n", b"@else.example>\r\n"),
        genuine.replace(tag, tag + b"\r\n" + tag),
        genuine.replace(tag, b"X-Other: yes"),
        genuine.replace(b"Message-ID: ", b"Message-ID: <first@else.example>\r\nMessage-ID: "),
        genuine.replace(b"Message-ID: ", b"In-Reply-To: <20261121.box-0.0@else.example>\r\nMessage-ID: "),
        pool.mail(unsent, 0),
        pool.mail(failed, 0),
        pool.mail(to_another, 1),
        genuine.replace(f".{real.mailbox_id}.".encode(), b".stranger."),
        b"\r\n",
        b"\x01\xff\x80" * 100,
        b"From: " + b"a" * 200_000 + b"\r\n\r\nlong\r\n",
        b"From: a@b.example\r\nSubject: nothing special\r\n\r\nHello.\r\n",
        bounce("<something@else.example>", "a@b.example"),
        bounce(message_id(SendId(DAY, "box-0", 0), "else.example"), "a@b.example"),
    ]


def rest(folders: Mapping[str, Folder], *ours: tuple[str, int]) -> dict[str, tuple[int, list[Kept]]]:
    """Everything but these mails, by folder."""
    return {
        name: (folder.uidvalidity, [mail for mail in folder.mails if (name, mail.uid) not in ours])
        for name, folder in folders.items()
    }


def test_in_a_mailbox_full_of_other_peoples_mail_nothing_else_changes(pool_on: MakePool, post: Post) -> None:
    pool, account = pool_on(flag=True)
    strangers = forgeries(pool)
    in_inbox = next(one for one in pool.to(0) if one != pool.planned_reply(to=0)[0])
    reply, original, _ = pool.planned_reply(to=0)
    for number, folder in enumerate(FOLDERS):
        shuffled = strangers[number:] + strangers[:number]
        for flags, contents in zip(FLAGS, itertools.batched(shuffled, 3, strict=False), strict=True):
            post.put(account, *contents, folder=folder, flags=flags)
    pool.leave(in_inbox, RoundState.SENT)
    pool.leave(reply, RoundState.UNKNOWN)
    [inbox_uid] = post.put(account, pool.mail(in_inbox, 0), flags="Label")
    [junk_uid] = post.put(account, pool.reply(reply, original), folder="Junk", flags=r"\Answered")
    # Copies, later than what they are copies of, and where nobody looks.
    [copy_uid] = post.put(account, pool.mail(in_inbox, 0), flags=r"\Deleted")
    post.put(account, pool.mail(in_inbox, 0), pool.reply(reply, original), folder="Archive")
    before = post.folders(account)

    [report] = pool.read(0)

    after = post.folders(account)
    assert (report.end, report.inbox, report.junk, report.marked, report.rescued, report.settled) == (
        "visited",
        1,
        1,
        2,
        1,
        1,
    )
    [rescued] = [mail for mail in after["INBOX"].mails if mail.uid >= before["INBOX"].uidnext]
    assert rescued.flags == {"\\Answered", "\\Seen", "\\Flagged"}
    assert rescued.digest == next(mail for mail in before["Junk"].mails if mail.uid == junk_uid).digest
    marked = {mail.uid: mail for mail in after["INBOX"].mails}
    assert marked[inbox_uid].flags == {"Label", "\\Seen", "\\Flagged"}
    assert marked[copy_uid].flags == {"\\Deleted"}
    ours = [("INBOX", inbox_uid), ("Junk", junk_uid), ("INBOX", rescued.uid)]
    assert rest(after, *ours) == rest(before, *ours)
    assert junk_uid not in {mail.uid for mail in after["Junk"].mails}
    assert pool.placed(in_inbox) == Placement("inbox", "google")
    assert pool.placed(reply) == Placement("junk", "google")
    assert pool.state(reply) == RoundState.SENT_REPLY

    # What is done once stays as people leave it, wherever they put it.
    with post.imap(account) as person:
        person.select("INBOX")
        person.uid("STORE", str(inbox_uid), "-FLAGS", r"(\Seen \Flagged)")
        person.uid("COPY", str(inbox_uid), "Junk")
        person.uid("COPY", str(copy_uid), "Archive")
    left = post.folders(account)
    pool.clock.at_ms += 1_800_000
    [again] = pool.read(0)
    assert (again.end, again.inbox, again.junk, again.marked, again.rescued) == ("visited", 0, 0, 0, 0)
    assert post.folders(account) == left


def test_where_nothing_is_ours_even_recent_stays(pool_on: MakePool, post: Post) -> None:
    """Opening a folder for writing takes \\Recent from its mails; a visit does that only where it found ours."""
    pool, account = pool_on()
    strangers = forgeries(pool)
    post.put(account, *strangers[:6])
    post.put(account, *strangers[6:], folder="Junk", flags=r"\Seen")
    assert [one.end for one in pool.read(0)] == ["visited"]
    assert [one.end for one in pool.read(0)] == ["visited"]
    with post.imap(account) as person:
        recent = {}
        for name in ("INBOX", "Junk"):
            person.select(name, readonly=True)
            recent[name] = int(person.response("RECENT")[1][0] or b"")
    assert recent == {"INBOX": 6, "Junk": len(strangers) - 6}


@pytest.mark.parametrize(
    ("wishes", "flags", "place"),
    [
        ({"read": False, "rescue": False}, set(), "Junk"),
        ({"read": True, "rescue": False}, {"\\Seen"}, "Junk"),
        ({"read": False, "rescue": True, "flag": True}, {"\\Flagged"}, "INBOX"),
    ],
)
def test_ours_are_treated_as_the_owner_wishes(
    pool_on: MakePool, post: Post, wishes: dict[str, bool], flags: set[str], place: str
) -> None:
    pool, account = pool_on(**wishes)
    send_id = pool.to(0)[0]
    pool.leave(send_id, RoundState.SENT)
    post.put(account, pool.mail(send_id, 0), folder="Junk")
    assert pool.read(0)[0].junk == 1
    folders = post.folders(account)
    found = [(name, mail.flags) for name, folder in folders.items() for mail in folder.mails]
    assert [(name, set(kept)) for name, kept in found] == [(place, flags)]
    assert pool.placed(send_id) == Placement("junk", "google")


def test_a_mail_that_a_visit_left_in_junk_is_rescued_by_the_next(pool_on: MakePool, post: Post) -> None:
    """The first one ended between recording and moving."""
    pool, account = pool_on()
    send_id = pool.to(0)[0]
    pool.leave(send_id, RoundState.SENT)
    pool.placements.record(pool.day().key(send_id.mailbox_id), {send_id.round: Placement("junk", "google")})
    post.put(account, pool.mail(send_id, 0), folder="Junk")
    [report] = pool.read(0)
    assert (report.rescued, report.junk) == (1, 0)
    assert [mail.flags for mail in post.folders(account)["INBOX"].mails] == [frozenset()]


def test_ours_are_recognised_whoever_delivers_them(pool_on: MakePool, post: Post) -> None:
    """By LMTP, which adds header fields above."""
    pool, account = pool_on()
    send_id = pool.to(0)[0]
    pool.leave(send_id, RoundState.SENT)
    post.deliver("whoever@company-1.example", account, pool.mail(send_id, 0))
    assert pool.read(0)[0].inbox == 1
