"""Postfix as the senders meet it, and the way of a mail through both servers."""

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from localstack.processes import LOOPBACK
from mailtide.warmup.reading.reports import read_report
from tests.support.postfix_dovecot import GHOST, Account, Post


@pytest.fixture(autouse=True)
def _postfix(post: Post) -> None:
    post.need_postfix()


@contextmanager
def submission(post: Post, account: Account) -> Iterator[smtplib.SMTP]:
    with smtplib.SMTP(LOOPBACK, post.servers.ports.submission) as server:
        server.starttls(context=post.servers.authority.client_context())
        server.login(account.address, account.password)
        yield server


def mail(sender: Account, name: str, subject: str = "Hello") -> bytes:
    return f"From: {sender.address}\r\nSubject: {subject}\r\nMessage-ID: <{name}@one.example>\r\n\r\nText\r\n".encode()


def test_a_mail_goes_through_both_servers(post: Post) -> None:
    ann, bob = post.account(), post.account()
    with submission(post, ann) as server:
        server.sendmail(ann.address, [bob.address], mail(ann, "through"))
        server.sendmail(ann.address, [bob.address], mail(ann, "to-junk", "A [junk] of mine"))
    folders = post.wait_for(bob, lambda found: bool(found["INBOX"].mails and found["Junk"].mails))
    assert [kept.message_id for kept in folders["INBOX"].mails] == ["<through@one.example>"]
    assert [kept.message_id for kept in folders["Junk"].mails] == ["<to-junk@one.example>"]


def test_without_starttls_nobody_logs_in(post: Post) -> None:
    with (
        smtplib.SMTP(LOOPBACK, post.servers.ports.submission) as server,
        pytest.raises(smtplib.SMTPException, match="AUTH"),
    ):
        server.login("ann@one.example", "x")


def test_without_login_nothing_is_taken(post: Post) -> None:
    bob = post.account()
    with smtplib.SMTP(LOOPBACK, post.servers.ports.submission) as server:
        assert server.docmd("MAIL FROM:<ann@one.example>")[0] == 530
        server.starttls(context=post.servers.authority.client_context())
        with pytest.raises(smtplib.SMTPRecipientsRefused, match=r"5\.7\.1"):
            server.sendmail("ann@one.example", [bob.address], b"Subject: x\r\n\r\nx\r\n")


def test_nobody_writes_as_another(post: Post) -> None:
    ann, bob = post.account(), post.account()
    with submission(post, ann) as server, pytest.raises(smtplib.SMTPRecipientsRefused, match=r"5\.7\.1"):
        server.sendmail(bob.address, [bob.address], mail(bob, "forged"))


def test_nothing_leaves_this_computer(post: Post) -> None:
    ann = post.account()
    with submission(post, ann) as server, pytest.raises(smtplib.SMTPRecipientsRefused, match=r"5\.4\.4"):
        server.sendmail(ann.address, ["somebody@elsewhere.invalid"], mail(ann, "away"))


def test_what_cannot_be_delivered_comes_back_as_a_report(post: Post) -> None:
    ann = post.account()
    named = mail(ann, "x").replace(b"<x@one.example>", b"<20261121.box-1.3@one.example>")
    sent = f"To: {GHOST}\r\n".encode() + named
    with submission(post, ann) as server:
        server.sendmail(ann.address, [GHOST], sent)
    post.wait_for(ann, lambda found: bool(found["INBOX"].mails))
    [report] = post.mails(ann)
    assert report.get_content_type() == "multipart/report"
    said = read_report("delivery-status", report.as_bytes())
    assert said is not None
    assert (said.kind, str(said.send_id), said.recipients) == ("bounce", "2026-11-21/box-1/3", frozenset({GHOST}))
