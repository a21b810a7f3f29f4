"""Visits to Dovecot: what they find, settle, wait for, and how they go on after trouble."""

import ssl
from collections.abc import Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from mailtide.warmup.contracts import DAY_MS, Mailbox, MailServer, RoundState, day_start_ms
from mailtide.warmup.ids import SendId, message_id
from mailtide.warmup.reading.contracts import FolderCursor, Placement, VisitState
from mailtide.warmup.reading.expected import MISSING_AFTER_MS
from mailtide.warmup.reading.ports import MailServers
from mailtide.warmup.reading.read import BACK_OFF_MS, LOGIN_BACK_OFF_MS
from tests.support.postfix_dovecot import Account, Post
from tests.support.reading_pool import BEFORE, LOOPBACK, ReadingPool
from tests.support.reports import bounce, complaint
from tests.support.warmup_pools import DAY

type MakePool = Callable[..., tuple[ReadingPool, Account]]

HALF_HOUR_MS = 1_800_000
STRANGER = b"From: a@b.example\r\nSubject: hello\r\n\r\nHello.\r\n"


def test_unknown_sends_are_settled_and_others_left_as_they_are(pool_on: MakePool, post: Post) -> None:
    pool, account = pool_on()
    unknown, under_way = pool.to(0)[:2]
    pool.leave(unknown, RoundState.UNKNOWN)
    pool.leave(under_way, RoundState.DATA)
    post.put(account, pool.mail(unknown, 0), pool.mail(under_way, 0))
    [report] = pool.read(0)
    assert (report.inbox, report.settled) == (2, 1)
    assert (pool.state(unknown), pool.state(under_way)) == (RoundState.SENT, RoundState.DATA)


def test_yesterdays_last_mails_are_found_today(pool_on: MakePool, post: Post) -> None:
    pool, account = pool_on()
    late = pool.to(0, BEFORE)[-1]
    pool.leave(late, RoundState.SENT)
    pool.clock.at_ms = day_start_ms(DAY) + 60_000
    post.put(account, pool.mail(late, 0))
    assert pool.read(0)[0].inbox == 1
    assert pool.placed(late) == Placement("inbox", "google")


def test_what_was_sent_and_is_not_found_is_missing_after_an_hour(pool_on: MakePool, post: Post) -> None:
    pool, account = pool_on()
    lost, late, unsent = pool.to(0)[1:4]
    pool.clock.at_ms = day_start_ms(DAY) + 60_000
    pool.read(0)
    for one in (lost, late):
        pool.leave(one, RoundState.SENT)
    pool.clock.at_ms = max(pool.due_ms(one) for one in (lost, late, unsent)) + 1
    first_look_ms = pool.clock.at_ms
    assert [one.missing for one in pool.read(0)] == [0]
    assert pool.left(0).awaited == {str(lost): first_look_ms, str(late): first_look_ms}
    assert str(unsent) in pool.left(0).unsent

    pool.clock.at_ms = first_look_ms + MISSING_AFTER_MS - 1
    assert [one.missing for one in pool.read(0)] == [0]
    pool.clock.at_ms += 1
    assert [one.missing for one in pool.read(0)] == [2]
    assert pool.placed(lost) == pool.placed(late) == Placement("missing", "google")
    assert pool.left(0).awaited == {}

    # One comes after all; the unsent one is sent at last.
    post.put(account, pool.mail(late, 0), folder="Junk")
    pool.leave(unsent, RoundState.SENT)
    [report] = pool.read(0)
    assert (report.junk, report.missing) == (1, 0)
    assert pool.placed(late) == Placement("junk", "google")
    assert pool.placed(lost) == Placement("missing", "google")
    assert pool.left(0).awaited == {str(unsent): pool.clock.at_ms}
    assert str(unsent) not in pool.left(0).unsent


def test_what_a_rule_has_filed_is_not_missing(pool_on: MakePool, post: Post) -> None:
    pool, account = pool_on()
    filed, lost = pool.to(0)[1:3]
    pool.clock.at_ms = day_start_ms(DAY) + 60_000
    pool.read(0)
    for one in (filed, lost):
        pool.leave(one, RoundState.SENT)
    post.put(account, pool.mail(filed, 0), folder="Warm-up/Mails")
    before = post.folders(account)
    pool.clock.at_ms = max(pool.due_ms(one) for one in (filed, lost)) + 1
    assert [(one.filed, one.missing) for one in pool.read(0)] == [(0, 0)]
    pool.clock.at_ms += MISSING_AFTER_MS
    assert [(one.filed, one.missing) for one in pool.read(0)] == [(1, 1)]
    assert pool.placed(filed) == Placement("inbox", "google")
    assert pool.placed(lost) == Placement("missing", "google")
    assert pool.left(0).awaited == {}
    assert post.folders(account) == before
    with post.imap(account) as person:
        person.select('"Warm-up/Mails"', readonly=True)
        assert person.response("RECENT")[1] == [b"1"], "it was opened read-only"


def test_what_a_visit_found_that_failed_afterwards_is_not_waited_for(pool_on: MakePool, post: Post) -> None:
    pool, account = pool_on()
    pool.clock.at_ms = day_start_ms(DAY) + 60_000
    pool.read(0)
    found = pool.to(0)[0]
    pool.leave(found, RoundState.SENT)
    post.put(account, pool.mail(found, 0), *[STRANGER] * 100)
    pool.clock.at_ms = pool.due_ms(found) + 1
    reports = pool.read(0, time_left_s=12, servers_of=lambda servers: SlowServers(servers, pool, 8_000))
    assert [(one.end, one.inbox) for one in reports] == [("unfinished", 1)]
    assert [one.end for one in pool.read(0)] == ["visited"]
    pool.clock.at_ms += MISSING_AFTER_MS
    assert [(one.missing, one.filed) for one in pool.read(0)] == [(0, 0)]
    assert pool.left(0).awaited == {}
    assert pool.placed(found) == Placement("inbox", "google")


def test_what_was_due_before_the_first_visit_is_not_waited_for(pool_on: MakePool) -> None:
    pool, _ = pool_on()
    for one in pool.to(0):
        pool.leave(one, RoundState.SENT)
    pool.clock.at_ms = day_start_ms(DAY) + DAY_MS - 60_000
    pool.read(0)
    pool.read(0)
    assert pool.left(0).awaited == {}


def test_what_never_went_out_is_given_up_after_the_day(pool_on: MakePool) -> None:
    pool, _ = pool_on()
    pool.clock.at_ms = day_start_ms(DAY) + 60_000
    pool.read(0)
    pool.clock.at_ms = day_start_ms(DAY) + DAY_MS - 1
    pool.read(0)
    assert pool.left(0).unsent == {str(one) for one in pool.to(0)}
    failed, replied = pool.to(0)[:2]
    pool.leave(failed, RoundState.FAILED)
    pool.leave(replied, RoundState.SENT_REPLY)
    pool.read(0)
    assert pool.left(0).unsent == {str(one) for one in pool.to(0)[2:]}
    assert pool.left(0).awaited == {}
    pool.clock.at_ms += HALF_HOUR_MS + 1
    pool.read(0)
    assert pool.left(0).unsent == frozenset()


def test_a_visit_that_was_asked_for_before_midnight_knows_the_new_days_mails(pool_on: MakePool, post: Post) -> None:
    pool, account = pool_on()
    pool.clock.at_ms = day_start_ms(BEFORE) + DAY_MS - 60_000
    pool.read(0)
    first = pool.to(0)[0]
    pool.leave(first, RoundState.SENT)
    post.put(account, pool.mail(first, 0))
    pool.clock.at_ms = max(pool.due_ms(first), day_start_ms(DAY) + 60_000) + 1
    [report] = pool.read(0, day=BEFORE)
    assert report.inbox == 1
    assert pool.left(0).awaited == {}


def test_what_is_older_than_yesterday_is_forgotten(pool_on: MakePool) -> None:
    pool, _ = pool_on()
    older = SendId(BEFORE - timedelta(days=1), "box-1", 0)
    pool.visits.begin("box-0", "t", now_ms=pool.clock.at_ms)
    state = VisitState(
        mailbox_id="box-0",
        awaited={str(older): 1, str(pool.to(0)[0]): pool.clock.at_ms},
        unsent=frozenset({str(older)}),
        looked_until_ms=pool.clock.at_ms,
    )
    pool.visits.end(state, "t")
    assert [one.end for one in pool.read(0)] == ["visited"]
    assert pool.left(0).awaited == {str(pool.to(0)[0]): pool.clock.at_ms}
    assert pool.left(0).unsent == frozenset()


def test_only_new_mail_is_looked_at(pool_on: MakePool, post: Post) -> None:
    pool, account = pool_on()
    post.put(account, *[STRANGER] * 3)
    post.put(account, STRANGER, folder="Junk")
    looked_at = []
    for news in (0, 2, 0):
        if news:
            post.put(account, *[STRANGER] * news)
        looked_at += [one.looked_at for one in pool.read(0)]
    assert looked_at == [4, 2, 0]


def test_old_mail_is_not_even_looked_at_by_the_first_visit(pool_on: MakePool, post: Post) -> None:
    pool, account = pool_on()
    with post.imap(account) as person:
        person.append("INBOX", "", '"10-Nov-2026 10:00:00 +0000"', STRANGER)
    post.put(account, STRANGER)
    assert [one.looked_at for one in pool.read(0)] == [1]
    inbox = post.folders(account)["INBOX"]
    assert pool.left(0).cursors["INBOX"] == FolderCursor(inbox.uidvalidity, inbox.uidnext)


def test_new_numbers_of_a_folder_are_noticed(pool_on: MakePool, post: Post) -> None:
    pool, account = pool_on()
    before, after = pool.to(0)[:2]
    for one in (before, after):
        pool.leave(one, RoundState.SENT)
    post.put(account, *[STRANGER] * 3, pool.mail(before, 0))
    assert [one.inbox for one in pool.read(0)] == [1]
    with post.imap(account) as person:
        person.select("INBOX")
        person.store("4", "-FLAGS", r"(\Seen)")
    post.renew_uidvalidity(account)
    post.put(account, pool.mail(after, 0))
    [report] = pool.read(0)
    assert (report.looked_at, report.inbox, report.marked) == (5, 1, 1)
    flags = {mail.message_id: mail.flags for mail in post.folders(account)["INBOX"].mails}
    ids = [message_id(one, pool.book.mailboxes[one.mailbox_id].domain) for one in (before, after)]
    assert [flags[one] for one in ids] == [frozenset(), {"\\Seen"}]
    assert pool.left(0).cursors["INBOX"].uidvalidity == post.folders(account)["INBOX"].uidvalidity


class SlowView:
    """A view to which each look at header fields takes so long, on the pool's clock."""

    def __init__(self, view: Any, pool: ReadingPool, took_ms: int) -> None:  # noqa: ANN401 - any view
        self._view, self._pool, self._took_ms = view, pool, took_ms

    def headers(self, uids: Sequence[int]) -> Any:  # noqa: ANN401 - as it came
        self._pool.clock.at_ms += self._took_ms
        return self._view.headers(uids)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the same
        return getattr(self._view, name)


class SlowServers:
    """Servers with such views."""

    def __init__(self, servers: MailServers, pool: ReadingPool, took_ms: int) -> None:
        self._servers, self._pool, self._took_ms = servers, pool, took_ms

    @asynccontextmanager
    async def room(self, mailbox: Mailbox, *, time_left_s: float) -> Any:  # noqa: ANN401 - a context
        async with self._servers.room(mailbox, time_left_s=time_left_s):
            yield

    async def prepare(self, mailbox: Mailbox, *, time_left_s: float) -> None:
        await self._servers.prepare(mailbox, time_left_s=time_left_s)

    async def open(self, mailbox: Mailbox, *, time_left_s: float) -> Any:  # noqa: ANN401 - a view
        return SlowView(await self._servers.open(mailbox, time_left_s=time_left_s), self._pool, self._took_ms)


def test_a_visit_without_time_goes_on_where_it_was(pool_on: MakePool, post: Post) -> None:
    pool, account = pool_on()
    ours = pool.to(0)[0]
    pool.leave(ours, RoundState.SENT)
    post.put(account, *[STRANGER] * 150, pool.mail(ours, 0))
    ends, looked_at = [], []
    for _ in range(3):
        [report] = pool.read(0, time_left_s=20, servers_of=lambda servers: SlowServers(servers, pool, 8_000))
        ends.append(report.end)
        looked_at.append(report.looked_at)
        assert pool.left(0).awaited == {}
    assert (ends, looked_at) == (["unfinished", "visited", "visited"], [100, 51, 0])
    assert pool.placed(ours) == Placement("inbox", "google")


def test_reports_on_ones_own_mails_count_and_stay_unread(pool_on: MakePool, post: Post) -> None:
    pool, account = pool_on()
    bounced, blamed, someone_elses = (SendId(DAY, "box-0", 1), SendId(DAY, "box-0", 2), SendId(DAY, "box-1", 0))
    for one in (bounced, blamed, someone_elses):
        pool.leave(one, RoundState.SENT)
    contents = []
    for one, kind in ((bounced, bounce), (blamed, complaint), (someone_elses, bounce)):
        asked = pool.day().addressees(one)
        assert asked is not None
        assert asked.recipient is not None
        sender, recipient = pool.book.mailboxes[one.mailbox_id], pool.book.mailboxes[asked.recipient]
        contents.append(kind(message_id(one, sender.domain), recipient.address))
    post.put(account, *contents)
    before = post.folders(account)
    assert [one.reports for one in pool.read(0)] == [2]
    assert [pool.reported(one) for one in (bounced, blamed, someone_elses)] == ["bounce", "complaint", None]
    assert post.folders(account) == before


def test_a_refused_login_backs_off_and_hinders_nobody(pool_on: MakePool, post: Post) -> None:
    pool, _ = pool_on()
    other = post.account()
    pool.change(1, address=other.address, auth={**pool.mailbox(1).auth.model_dump(), "username": other.address})
    pool.change(0, auth={**pool.mailbox(0).auth.model_dump(), "sealed": "wrong"})
    pool.change(2, auth={**pool.mailbox(2).auth.model_dump(), "sealed": ""})
    ends = {one.mailbox_id: (one.end, one.failure) for one in pool.read(0, 1, 2)}
    assert ends == {"box-0": ("failed", "login"), "box-1": ("visited", None), "box-2": ("failed", "login")}
    left = pool.left(0)
    assert (left.failures, left.failure, left.not_before_ms) == (1, "login", pool.clock.at_ms + LOGIN_BACK_OFF_MS)
    assert [one.end for one in pool.read(0)] == ["busy"]
    pool.clock.at_ms = left.not_before_ms
    assert [one.failure for one in pool.read(0)] == ["login"]
    assert pool.left(0).not_before_ms == pool.clock.at_ms + 2 * LOGIN_BACK_OFF_MS
    pool.clock.at_ms = pool.left(0).not_before_ms
    pool.change(0, auth=pool.mailbox(1).auth.model_dump(), address=other.address)
    assert [one.end for one in pool.read(0)] == ["visited"]
    assert (pool.left(0).failures, pool.left(0).failure, pool.left(0).not_before_ms) == (0, None, 0)


@pytest.fixture
def servers_of(post: Post) -> dict[str, MailServer]:
    ports = post.servers.ports
    return {
        "tls": MailServer(host=LOOPBACK, port=ports.imaps, security="tls"),
        "starttls": MailServer(host=LOOPBACK, port=ports.imap, security="starttls"),
    }


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_the_connection_is_protected_and_verified(
    pool_on: MakePool, post: Post, servers_of: dict[str, MailServer], security: str
) -> None:
    pool, _ = pool_on()
    pool.change(0, imap=servers_of[security].model_dump())
    trusting: ssl.SSLContext = post.servers.authority.client_context()
    assert [one.end for one in pool.read(0, tls_context=trusting)] == ["visited"]
    [report] = pool.read(0)
    assert (report.end, report.failure) == ("failed", "certificate")
    assert pool.left(0).not_before_ms == pool.clock.at_ms + BACK_OFF_MS


def test_who_is_not_visited(pool_on: MakePool) -> None:
    pool, _ = pool_on()
    pool.change(1, status="paused")
    pool.change(2, status="disconnected")
    pool.change(3, imap=None)
    pool.visits.begin("box-0", "somebody", now_ms=pool.clock.at_ms)
    ends = [one.end for one in pool.read(0, 1, 2, 3, 99)]
    assert ends == ["busy", "not_read", "not_read", "not_read", "not_read"]


def test_a_message_that_comes_too_late_visits_nobody(pool_on: MakePool) -> None:
    pool, _ = pool_on()
    assert [one.end for one in pool.read(0, time_left_s=1)] == ["stale"]
    assert pool.visits.read_many(["box-0"]) == {}
