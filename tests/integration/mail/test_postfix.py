"""Sends through Postfix, as they arrive in Dovecot's folders."""

from collections.abc import Callable

import pytest

from mailtide.warmup.contracts import Mailbox
from mailtide.warmup.ids import message_id
from tests.integration.mail.conftest import World
from tests.support.postfix_dovecot import Account, Post


@pytest.fixture
def world(post: Post, world_at: Callable[..., World]) -> World:
    post.need_postfix()
    return world_at(post.servers.ports.submission, authority=post.servers.authority, smtp_timeout_ms=10_000)


def mailbox_of(world: World, account: Account, *, password: str = "") -> Mailbox:
    """The account as a mailbox that writes with STARTTLS."""
    name = account.address.partition("@")[0]
    made = world.mailbox(name, address=account.address, password=password or account.password, security="starttls")
    mailbox = made.model_copy(update={"auth": made.auth.model_copy(update={"username": account.address})})
    world.mailboxes.put_many([mailbox])
    return mailbox


def test_a_mail_and_its_reply(world: World, post: Post) -> None:
    ann, bob = post.account(), post.account()
    first, second = mailbox_of(world, ann), mailbox_of(world, bob)
    original = world.message(first, second, 0)
    reply = world.message(second, first, 1, reply_to=str(original.send_id), reply_to_shard=original.shard)
    assert world.send(original).counts() == {"sent": 1}
    post.wait_for(bob, lambda folders: len(folders["INBOX"].mails) == 1)
    assert world.send(reply).counts() == {"sent": 1}
    post.wait_for(ann, lambda folders: len(folders["INBOX"].mails) == 1)
    [sent], [answer] = post.mails(bob), post.mails(ann)
    assert sent["Message-ID"] == message_id(original.send_id, first.domain)
    assert (sent["X-Mailtide-Warmup"], sent["Return-Path"]) == ("yes", f"<{ann.address}>")
    assert (answer["In-Reply-To"], answer["References"]) == (sent["Message-ID"], sent["Message-ID"])
    assert not any(folder.mails[0].flags for folder in post.folders(bob).values() if folder.mails)


def test_an_unknown_recipient(world: World, post: Post) -> None:
    sender = mailbox_of(world, post.account())
    nobody = mailbox_of(world, Account("nobody@company-0.example"))
    message = world.message(sender, nobody)
    assert world.send(message).counts() == {"failed": 1}
    assert world.view(message).states == "f"
    assert (world.status(sender), world.status(nobody)) == ("active", "quarantined")


def test_a_wrong_password(world: World, post: Post) -> None:
    bob = mailbox_of(world, post.account())
    sender = mailbox_of(world, post.account(), password="forgotten")
    message = world.message(sender, bob)
    assert world.send(message).counts() == {"given_back": 1}
    assert (world.status(sender), world.status(bob)) == ("disconnected", "active")


def test_a_login_that_may_not_write_under_the_address(world: World, post: Post) -> None:
    ann, other, bob = post.account(), post.account(), post.account()
    made = mailbox_of(world, ann)
    borrowed = made.model_copy(update={"auth": made.auth.model_copy(update={"username": other.address})})
    world.mailboxes.put_many([borrowed])
    recipient = mailbox_of(world, bob)
    message = world.message(borrowed, recipient)
    assert world.send(message).counts() == {"failed": 1}
    assert world.status(recipient) == "active"


def test_a_certificate_of_another_authority(world_at: Callable[..., World], post: Post) -> None:
    post.need_postfix()
    world = world_at(post.servers.ports.submission, smtp_timeout_ms=10_000)
    message = world.message(mailbox_of(world, post.account()), mailbox_of(world, post.account()))
    assert world.send(message).counts() == {"put_back": 1}
