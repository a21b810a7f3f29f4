"""The servers' logs as events, the junk rule in sieve and in Python, and Dovecot's files, each against the other."""

import shutil
import smtplib
from itertools import product

import pytest

from localstack.mail_servers import packages
from localstack.mail_servers.junk import is_junk
from localstack.mail_servers.logs import read_dovecot, read_postfix
from localstack.mail_servers.maildirs import read_mailboxes
from localstack.mail_servers.servers import MailServers
from localstack.processes import LOOPBACK
from tests.support.postfix_dovecot import PASSWORD, Post

SUBJECTS = ("Hello", "Cheap [junk]", "Cheap [Junk] too")
MESSAGE_IDS = (
    *(
        "<20261121.box-01-01.1@one.example>",
        "<20261121.box-01-01.2@one.example>",
        "<20261121.box-01-01.11@one.example>",
    ),
    *(
        "<20261121.box-01-10.0@one.example>",
        "<20261121.box-01-10.10@one.example>",
        "<20261121.box-10-01.0@one.example>",
    ),
    *(
        "<1.1@one.example>",
        "<11@one.example>",
        "<plain@one.example>",
        "<a1.b1@one.example>",
        "<20261121.b1.12@o.example>",
    ),
)
ADDRESS = "box@rules.example"


def content(subject: str, message_id: str) -> bytes:
    return f"From: ann@one.example\r\nSubject: {subject}\r\nMessage-ID: {message_id}\r\n\r\nText\r\n".encode()


@pytest.mark.parametrize("tenth", [True, False])
def test_sieve_and_python_know_one_rule(tmp_path_factory: pytest.TempPathFactory, tenth: bool) -> None:
    if (why := packages.why_not()) is not None:
        pytest.skip(why)
    home = tmp_path_factory.mktemp("rules") / "servers"
    mails = list(product(SUBJECTS, MESSAGE_IDS))
    with MailServers(home, {ADDRESS: PASSWORD}, junk_tenth=tenth, with_postfix=False) as servers:
        with smtplib.LMTP(str(home.resolve() / "lmtp")) as server:
            for subject, message_id in mails:
                server.sendmail("ann@one.example", [ADDRESS], content(subject, message_id))
        stored = list(read_mailboxes(servers.dovecot.mails))
        with servers.dovecot_log.open() as lines:
            filed = list(read_dovecot(lines))
    wanted = sorted(
        ("Junk" if is_junk(subject, message_id, tenth=tenth) else "INBOX", subject, message_id)
        for subject, message_id in mails
    )
    assert sorted((one.folder, one.mail["Subject"], one.message_id) for one in stored) == wanted
    assert sorted((one.folder, one.message_id) for one in filed) == sorted((folder, name) for folder, _, name in wanted)
    assert {(one.program, one.action, one.address) for one in filed} == {("lmtp", "save", ADDRESS)}
    shutil.rmtree(home.resolve())


def test_what_postfix_wrote_down(post: Post) -> None:
    post.need_postfix()
    ann, bob = post.account(), post.account()
    with smtplib.SMTP(LOOPBACK, post.servers.ports.submission, local_hostname="here.example") as server:
        server.starttls(context=post.servers.authority.client_context())
        with pytest.raises(smtplib.SMTPAuthenticationError):
            server.login(ann.address, "wrong")
        server.login(ann.address, ann.password)
        server.sendmail(ann.address, [bob.address], content("Hello", "<written-down@one.example>"))
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            server.sendmail(ann.address, ["nobody@written.example"], content("Hello", "<refused@one.example>"))
    with smtplib.SMTP(LOOPBACK, post.servers.ports.submission, local_hostname="here.example") as server:
        server.starttls(context=post.servers.authority.client_context())
        server.login(bob.address, bob.password)
        server.mail(bob.address)
        server.rcpt(ann.address)
    post.wait_for(bob, lambda folders: bool(folders["INBOX"].mails))
    with post.servers.postfix_log.open() as lines:
        events = read_postfix(lines)
    [mail] = [mail for mail in events.queued if mail.message_id == "<written-down@one.example>"]
    assert (mail.login, mail.sender, mail.delivered, mail.bounced) == (ann.address, ann.address, [bob.address], [])
    assert mail.is_taken
    # Somebody went away between RCPT and DATA: an id in the log, and no mail.
    assert [one.is_taken for one in events.queued if one.login == bob.address] == [False]
    assert events.refused[550, "5.1.1", "nobody@written.example"] == 1
    assert events.logins_refused >= 1
    assert not any(one.message_id == "<refused@one.example>" for one in events.queued)


def test_what_dovecot_wrote_down(post: Post) -> None:
    account = post.account()
    post.put(account, content("Hello", "<moved@one.example>"), folder="Junk")
    with post.imap(account) as server:
        server.select("Junk")
        server.uid("STORE", "1", "+FLAGS.SILENT", "(\\Seen)")
        server.uid("MOVE", "1", "INBOX")
    with post.servers.dovecot_log.open() as lines:
        events = [one for one in read_dovecot(lines) if one.address == account.address]
    assert [(one.action, one.source, one.folder, one.uid, sorted(one.flags)) for one in events] == [
        ("save", "", "Junk", 1, []),
        ("flag_change", "", "Junk", 1, ["\\Seen"]),
        ("copy", "Junk", "INBOX", 1, ["\\Seen"]),
        ("expunge", "", "Junk", 1, ["\\Seen"]),
    ]
    assert {one.message_id for one in events} == {"<moved@one.example>"}
    stored = [one for one in read_mailboxes(post.servers.dovecot.mails) if one.address == account.address]
    assert [(one.folder, one.flags, one.message_id) for one in stored] == [
        ("INBOX", frozenset({"\\Seen"}), "<moved@one.example>")
    ]
