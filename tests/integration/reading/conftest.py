"""Visits to real mailboxes: Dovecot's (fixture `post`), and those of servers that behave oddly (tests/support/odd_imap.py)."""

from collections.abc import Callable

import pytest

from mailtide.warmup.contracts import Engagement, MailServer
from tests.support.postfix_dovecot import Account, Post
from tests.support.reading_pool import LOOPBACK, ReadingPool

POOL = 10


@pytest.fixture
def pool_on(post: Post) -> Callable[..., tuple[ReadingPool, Account]]:
    """Makes a pool whose first mailbox is a new one on Dovecot; the others are nobody's."""

    def make(**engagement: bool) -> tuple[ReadingPool, Account]:
        account = post.account()
        addresses = [account.address, *(f"person@company-{number}.example" for number in range(1, POOL))]
        server = MailServer(host=LOOPBACK, port=post.servers.ports.imap, security="none")
        pool = ReadingPool(
            addresses, server, passwords=[account.password] * POOL, engagement=Engagement(**engagement), target=4
        )
        return pool, account

    return make
