"""Dovecot as the tests of reading need it."""

import imaplib
import smtplib

import pytest

from localstack.processes import LOOPBACK
from tests.support.postfix_dovecot import Account, Post


def mail(number: int, subject: str = "Hello") -> bytes:
    return f"From: ann@one.example\r\nSubject: {subject}\r\nMessage-ID: <{number}@one.example>\r\n\r\nText\r\n".encode()


def test_starttls_is_verified(post: Post) -> None:
    account = post.account()
    with imaplib.IMAP4(LOOPBACK, post.servers.ports.imap) as server:
        server.starttls(post.servers.authority.client_context())
        server.login(account.address, account.password)
        assert "MOVE" in server.capabilities or b"MOVE" in server.capability()[1][0]


def test_tls_from_the_first_byte_is_verified(post: Post) -> None:
    account = post.account()
    context = post.servers.authority.client_context()
    with imaplib.IMAP4_SSL(LOOPBACK, post.servers.ports.imaps, ssl_context=context) as server:
        assert server.login(account.address, account.password)[0] == "OK"


def test_wrong_password_is_refused(post: Post) -> None:
    account = post.account()
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"), post.imap(Account(account.address, "no")):
        pass


def test_junk_is_marked(post: Post) -> None:
    with post.imap(post.account()) as server:
        assert any(b"\\Junk" in line and line.endswith(b"Junk") for line in server.list()[1] if isinstance(line, bytes))


def test_junk_rule(post: Post) -> None:
    account = post.account()
    post.deliver("ann@one.example", account, mail(1))
    post.deliver("ann@one.example", account, mail(2, "Cheap [junk] today"))
    folders = post.folders(account)
    assert [kept.message_id for kept in folders["INBOX"].mails] == ["<1@one.example>"]
    assert [kept.message_id for kept in folders["Junk"].mails] == ["<2@one.example>"]


def test_folders_are_read_back_as_they_were_filled(post: Post) -> None:
    account = post.account()
    assert post.put(account, mail(1), mail(2), flags=r"\Seen $Label") == [1, 2]
    assert post.put(account, mail(3), folder="Work/2026") == [1]
    folders = post.folders(account)
    assert [kept.uid for kept in folders["INBOX"].mails] == [1, 2]
    assert folders["INBOX"].uidnext == 3
    assert {kept.flags for kept in folders["INBOX"].mails} == {frozenset({"\\Seen", "$Label"})}
    assert len(folders["Work/2026"].mails) == 1
    assert post.folders(account) == folders


def test_uidvalidity_changes(post: Post) -> None:
    account = post.account()
    post.put(account, mail(1))
    post.put(account, mail(2), folder="Junk")
    before = post.folders(account)
    post.renew_uidvalidity(account)
    after = post.folders(account)
    assert after["INBOX"].uidvalidity != before["INBOX"].uidvalidity
    assert [kept.digest for kept in after["INBOX"].mails] == [kept.digest for kept in before["INBOX"].mails]
    assert after["Junk"] == before["Junk"]


def test_a_mailbox_that_is_gone_takes_no_mail(post: Post) -> None:
    account = post.account()
    post.put(account, mail(1))
    post.remove(account)
    with pytest.raises(smtplib.SMTPRecipientsRefused, match=r"5\.1\.1"):
        post.deliver("ann@one.example", account, mail(4))
