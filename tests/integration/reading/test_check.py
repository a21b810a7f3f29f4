"""`mailtide mailboxes check` on a real IMAP server: it looks, says what is so, and leaves everything as it was."""

from collections.abc import Callable

import pytest

from mailtide.adapters.imap_check import ImapCheck
from mailtide.deliverability.reading import reading_check
from mailtide.warmup.contracts import Auth, Mailbox, MailServer
from tests.support.placements import mailbox
from tests.support.postfix_dovecot import Account, Post
from tests.support.reading_pool import LOOPBACK, OpenSecrets

type Build = Callable[..., Mailbox]


@pytest.fixture
def build(post: Post) -> Build:
    """A mailbox on Dovecot, by TLS."""

    def make(account: Account, **server: object) -> Mailbox:
        imap = {"host": LOOPBACK, "port": post.servers.ports.imaps, "security": "tls", **server}
        auth = Auth(kind="password", username=account.address, sealed=account.password)
        return mailbox(1).model_copy(update={"imap": MailServer.model_validate(imap), "auth": auth})

    return make


@pytest.fixture
def check(post: Post) -> ImapCheck:
    return ImapCheck(OpenSecrets(), timeout_s=10, tls_context=post.servers.authority.client_context())


def test_a_mailbox_that_can_be_read_is_left_as_it_was(post: Post, build: Build, check: ImapCheck) -> None:
    account = post.account()
    post.put(account, b"From: ann@one.example\r\nSubject: Hello\r\n\r\nText\r\n")
    before = post.folders(account)
    found = reading_check(build(account), check)
    assert (found.verdict, found.what) == (
        "ok",
        f"{LOOPBACK}:{post.servers.ports.imaps} let it in; inbox and junk open read-only.",
    )
    assert post.folders(account) == before


def test_what_keeps_it_from_being_read_is_said(post: Post, build: Build, check: ImapCheck) -> None:
    account = post.account()
    refused = reading_check(build(Account(account.address, "wrong")), check)
    assert refused.verdict == "broken"
    assert "refuses the login" in refused.what
    assert "wrong" not in refused.what + refused.todo
    strange = ImapCheck(OpenSecrets(), timeout_s=10)
    assert "does not prove its name" in reading_check(build(account), strange).what
    nobody = reading_check(build(account, port=1), check)
    assert (nobody.verdict, "cannot be reached" in nobody.what) == ("broken", True)


def test_a_mailbox_without_imap_is_not_looked_into(check: ImapCheck) -> None:
    found = reading_check(mailbox(1), check)
    assert (found.verdict, found.what) == ("warning", "box-1 names no IMAP server: its mail is not looked for.")
