"""Visits to real mailboxes: Dovecot's (fixture `post`), and those of servers that behave oddly (tests/support/odd_imap.py)."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from mailtide.warmup.contracts import Engagement, MailServer
from mailtide.warmup.reading.read import VisitReport
from tests.support.odd_imap import Answer, Line, OddImap, serving
from tests.support.postfix_dovecot import Account, Post
from tests.support.reading_pool import LOOPBACK, ReadingPool

POOL = 10
BOXES = 12
STRANGER = b"From: a@b.example\r\nSubject: hello\r\n\r\nHello.\r\n"

type Serve = Callable[[OddImap], ReadingPool]


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


@pytest.fixture
def pool_at() -> Iterator[Serve]:
    with ExitStack() as stack:

        def make(odd: OddImap) -> ReadingPool:
            port = stack.enter_context(serving(odd))
            addresses = [f"person@company-{number}.example" for number in range(BOXES)]
            server = MailServer(host=LOOPBACK, port=port, security="none")
            return ReadingPool(addresses, server, engagement=Engagement(flag=True))

        yield make


def server_of(pool: ReadingPool) -> dict[str, object]:
    """The settings of a pool's server."""
    imap = pool.mailbox(0).imap
    assert imap is not None
    return imap.model_dump()


def only(reports: list[VisitReport]) -> VisitReport:
    [report] = reports
    return report


def saying(text: str) -> Answer:
    """An answer of these words; {tag} stands for the command's."""

    def answer(line: Line, tag: str, _: str) -> bool:
        line.say(text.replace("{tag}", tag))
        return True

    return answer
