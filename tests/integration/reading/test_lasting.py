"""What a visit could not finish is finished by a later one, and nothing is given up for a trouble that passes."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import httpx
import pytest

from mailtide.adapters.imap import ImapServers
from mailtide.adapters.oauth2 import AccessTokens
from mailtide.adapters.smtp import make_tls_context
from mailtide.errors import TransientError
from mailtide.warmup.contracts import DAY_MS, LedgerKey, RoundState, day_start_ms
from mailtide.warmup.control import set_paused
from mailtide.warmup.ids import SendId
from mailtide.warmup.mail_ports import Credentials, KeyRefusedError
from mailtide.warmup.ports import CLAIM_TTL_MS
from mailtide.warmup.reading.contracts import Placement, Verdict
from mailtide.warmup.reading.expected import MISSING_AFTER_MS
from mailtide.warmup.reading.ports import VISIT_TTL_MS, VisitFailedError
from mailtide.warmup.reading.read import BACK_OFF_MS
from tests.integration.reading.conftest import STRANGER, Serve, only, saying
from tests.support.odd_imap import Line, OddFolder, OddImap
from tests.support.reading_pool import OpenSecrets, ReadingPool
from tests.support.warmup_pools import DAY


def key_of(pool: ReadingPool, send_id: SendId) -> LedgerKey:
    return pool.day().key(send_id.mailbox_id)


@pytest.mark.parametrize("is_reply", [False, True])
def test_what_was_found_before_its_sender_knew_is_settled_later(pool_at: Serve, *, is_reply: bool) -> None:
    """The sender waits for the server's word, the mail is there already, and then the sender is gone."""
    odd = OddImap()
    pool = pool_at(odd)
    reply, original, to = pool.planned_reply()
    found, number = (reply, to) if is_reply else (pool.to(0)[0], 0)
    pool.leave(found, RoundState.DATA)
    odd.folders["INBOX"].put(pool.reply(reply, original) if is_reply else pool.mail(found, 0))
    assert [(one.inbox, one.settled) for one in pool.read(number)] == [(1, 0)]
    assert [(one.inbox, one.settled) for one in pool.read(number)] == [(0, 0)]
    assert pool.state(found) == RoundState.DATA

    view = pool.ledger.read(key_of(pool, found))
    assert view is not None
    pool.ledger.expire(view, now_ms=day_start_ms(DAY) + CLAIM_TTL_MS)
    assert pool.state(found) == RoundState.UNKNOWN
    assert [(one.inbox, one.settled) for one in pool.read(number)] == [(0, 1)]
    assert pool.state(found) == (RoundState.SENT_REPLY if is_reply else RoundState.SENT)
    assert pool.left(number).unsettled == {}


@pytest.mark.parametrize("folder", ["INBOX", "Junk"])
def test_a_visit_that_ended_before_it_settled_is_made_good(pool_at: Serve, folder: str) -> None:
    odd = OddImap()
    pool = pool_at(odd)
    found = pool.to(0)[0]
    pool.leave(found, RoundState.UNKNOWN)
    odd.folders[folder].put(pool.mail(found, 0))
    pool.placements.record(key_of(pool, found), {found.round: Placement("junk", "google")})
    assert only(pool.read(0)).settled == 1
    assert pool.state(found) == RoundState.SENT


def test_what_the_sender_settles_itself_is_forgotten(pool_at: Serve) -> None:
    odd = OddImap()
    pool = pool_at(odd)
    found = pool.to(0)[0]
    pool.leave(found, RoundState.DATA)
    odd.folders["INBOX"].put(pool.mail(found, 0))
    pool.read(0)
    assert pool.left(0).unsettled == {str(found): "sent"}
    # Days later nobody asks for its roster any more.
    pool.clock.at_ms += 3 * DAY_MS
    assert only(pool.read(0)).end == "visited"
    assert pool.left(0).unsettled == {}


def test_a_search_that_takes_too_long_fails_no_visit(pool_at: Serve) -> None:
    """In the other folders, for a mail that did not come."""
    odd = OddImap()
    odd.folders["Archive"] = OddFolder()
    pool = pool_at(odd)
    pool.clock.at_ms = day_start_ms(DAY) + 60_000
    pool.read(0)
    lost = pool.to(0)[0]
    pool.leave(lost, RoundState.SENT)
    pool.clock.at_ms = pool.due_ms(lost) + 1
    pool.read(0)
    pool.clock.at_ms += MISSING_AFTER_MS

    def never(_line: Line, _tag: str, rest: str) -> bool:
        return "HEADER" in rest

    odd.answers["UID SEARCH"] = never
    report = only(pool.read(0, timeout_s=0.2))
    assert (report.end, report.missing) == ("visited", 0)
    assert str(lost) in pool.left(0).awaited
    assert pool.left(0).not_before_ms == 0

    odd.answers["UID SEARCH"] = saying("* SEARCH\r\n{tag} OK done\r\n")
    assert only(pool.read(0)).missing == 1


def test_what_is_due_before_the_roster_is_there_is_looked_for_later(pool_at: Serve) -> None:
    pool = pool_at(OddImap())
    pool.clock.at_ms = day_start_ms(DAY) + DAY_MS - 60_000
    pool.read(0)
    tomorrow_ms = day_start_ms(DAY + timedelta(days=1))
    pool.clock.at_ms = tomorrow_ms + 600_000
    assert only(pool.read(0)).end == "visited"
    assert pool.left(0).looked_until_ms == tomorrow_ms


@pytest.mark.parametrize("command", ["SELECT", "UID STORE", "UID MOVE"])
@pytest.mark.parametrize(
    "said", ["NO [INUSE] later", "BAD Request is throttled. Suggested Backoff Time: 1 milliseconds"]
)
def test_a_change_that_is_refused_for_now_is_made_by_the_next_visit(pool_at: Serve, command: str, said: str) -> None:
    odd = OddImap()
    pool = pool_at(odd)
    ours = pool.to(0)[0]
    pool.leave(ours, RoundState.SENT)
    odd.folders["Junk"].put(pool.mail(ours, 0))
    odd.answers[command] = saying(f"{{tag}} {said}\r\n")
    report = only(pool.read(0))
    assert (report.end, report.failure) == ("failed", "unreachable")
    odd.answers.clear()
    pool.clock.at_ms += BACK_OFF_MS
    assert only(pool.read(0)).rescued == 1
    [mail] = odd.folders["INBOX"].mails
    assert mail.flags == {"\\Seen", "\\Flagged"}
    assert pool.placed(ours) == Placement("junk", "google")


def test_new_credentials_are_tried_at_once(pool_at: Serve) -> None:
    pool = pool_at(OddImap())
    auth = pool.mailbox(0).auth
    pool.change(0, auth=auth.model_copy(update={"sealed": "old"}).model_dump())
    assert only(pool.read(0)).failure == "login"
    assert only(pool.read(0)).end == "busy"
    pool.change(0, auth=auth.model_copy(update={"sealed": "also wrong"}).model_dump())
    assert only(pool.read(0)).failure == "login"
    assert pool.left(0).failures == 1, "of these credentials"
    pool.change(0, auth=auth.model_dump())
    assert only(pool.read(0)).end == "visited"


class RefusedSecrets(OpenSecrets):
    """As KMS has it while its key cannot be used, or KMS is away."""

    def __init__(self, error: TransientError) -> None:
        self.error = error

    def open(self, _user_id: str, _mailbox_id: str, _sealed: str) -> Credentials:
        raise self.error


@pytest.mark.parametrize(
    ("error", "end"), [(KeyRefusedError("KMS refuses."), "key_refused"), (TransientError("KMS is away."), "no_room")]
)
def test_a_key_that_cannot_be_used_is_no_failure_of_a_mailbox(pool_at: Serve, error: TransientError, end: str) -> None:
    odd = OddImap()
    pool = pool_at(odd)
    pool.secrets = RefusedSecrets(error)
    assert [one.end for one in pool.read(0, 1)] == [end, end]
    assert odd.commands() == []
    assert pool.visits.read_many(["box-0", "box-1"]) == {}
    pool.secrets = OpenSecrets()
    assert only(pool.read(0)).end == "visited"


def test_nobody_is_visited_after_a_persons_word(pool_at: Serve) -> None:
    """What was asked for before."""
    odd = OddImap()
    pool = pool_at(odd)
    set_paused(pool.objects, paused=True, user_id="user-0")
    assert [one.end for one in pool.read(0, 1)] == ["not_read", "visited"]
    pool.clock.at_ms += 60_000
    set_paused(pool.objects, paused=True)
    assert [one.end for one in pool.read(0, 1)] == ["not_read", "not_read"]
    assert odd.commands().count("LOGOUT") == 1


def test_what_is_sent_while_junk_is_looked_into_is_ours_in_the_inbox(pool_at: Serve) -> None:
    """Two mails of one sender, which small pools may have."""
    odd = OddImap()
    addresses = [f"person@company-{number}.example" for number in range(8)]
    pool = ReadingPool(addresses, pool_at(odd).mailbox(0).imap, target=7)
    first, second, number = two_of_one_sender(pool)
    pool.leave(first, RoundState.SENT)
    odd.folders["Junk"].put(pool.mail(first, number))

    def sent_just_now(_line: Line, _tag: str, rest: str) -> bool:
        if "INBOX" in rest and pool.state(second[0]) == RoundState.UNTAKEN:
            pool.leave(second[0], RoundState.SENT_REPLY)
            odd.folders["INBOX"].put(pool.reply(*second))
        return False

    odd.answers["EXAMINE"] = sent_just_now
    [report] = pool.read(number)
    assert (report.junk, report.inbox) == (1, 1)


def two_of_one_sender(pool: ReadingPool) -> tuple[SendId, tuple[SendId, SendId], int]:
    """An ordinary mail and a reply (with its original) that go to the mailbox of this number."""
    for sender in pool.book.mailboxes:
        for reply in (SendId(DAY, sender, number) for number in range(pool.target)):
            asked = pool.day().addressees(reply)
            if asked is None or asked.original is None:
                continue
            number = int(asked.original.mailbox_id.removeprefix("box-"))
            for one in pool.to(number):
                if one.mailbox_id == sender and one.round != reply.round:
                    return one, (reply, asked.original), number
    raise AssertionError("no pair repeats")


class Tables:
    """At a call, counted from 1, they go away for good; or they carry it out, and their answer is lost."""

    def __init__(self, away_at: int, *, is_answer_lost: bool) -> None:
        self._left, self._is_answer_lost = away_at, is_answer_lost

    def of(self, table: Any) -> Any:  # noqa: ANN401 - one of the pool's
        return _Table(self, table)

    def call(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - what the call returns
        self._left -= 1
        if self._left <= 0 and not self._is_answer_lost:
            raise TransientError("away")
        done = work()
        if self._left == 0:
            raise TransientError("away")
        return done


class _Table:
    def __init__(self, tables: Tables, table: Any) -> None:  # noqa: ANN401 - the same
        self._tables, self._table = tables, table

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: self._tables.call(lambda: getattr(self._table, name)(*args, **kwargs))


@pytest.mark.parametrize("is_answer_lost", [False, True])
def test_wherever_the_tables_go_away_the_next_visit_makes_it_good(pool_at: Serve, *, is_answer_lost: bool) -> None:
    """For good is as if the process had been killed between any two of its effects: not even the visit's end is kept."""
    end, away_at = "", 0
    while end != "visited":
        away_at += 1
        odd = OddImap()
        pool = pool_at(odd)
        reply, original, to = pool.planned_reply()
        in_junk, in_inbox = [one for one in pool.to(to) if one != reply][:2]
        for one in (in_junk, in_inbox, reply):
            pool.leave(one, RoundState.UNKNOWN)
        odd.folders["Junk"].put(STRANGER, pool.mail(in_junk, to), pool.reply(reply, original))
        odd.folders["INBOX"].put(pool.mail(in_inbox, to), STRANGER)
        real = pool.visits, pool.placements, pool.ledger, pool.book
        tables = Tables(away_at, is_answer_lost=is_answer_lost)
        pool.visits, pool.placements, pool.ledger, pool.book = map(tables.of, real)
        with suppress(TransientError):
            # Before there is a visit, it is the whole message that fails.
            end = only(pool.read(to)).end
        pool.visits, pool.placements, pool.ledger, pool.book = real
        pool.clock.at_ms += VISIT_TTL_MS
        assert only(pool.read(to)).end == "visited"

        assert [pool.state(one) for one in (in_junk, in_inbox)] == [RoundState.SENT] * 2
        assert pool.state(reply) == RoundState.SENT_REPLY
        places: list[Verdict] = ["junk", "junk", "inbox"]
        assert [pool.placed(one) for one in (in_junk, reply, in_inbox)] == [
            Placement(place, "google") for place in places
        ]
        assert [mail.flags for mail in odd.folders["Junk"].mails] == [set()]
        treated = {"\\Seen", "\\Flagged"}
        assert [mail.flags for mail in odd.folders["INBOX"].mails] == [treated, set(), treated, treated]
        assert pool.left(to).unsettled == {}
    assert away_at > 10


class HangingSecrets(OpenSecrets):
    """As long as nobody lets go."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.is_over = False

    def open(self, _user_id: str, _mailbox_id: str, sealed: str) -> Credentials:
        self.is_over = not self.released.wait(5)
        return super().open(_user_id, _mailbox_id, sealed)


def test_what_hangs_before_the_connection_ends_with_the_visit(pool_at: Serve) -> None:
    odd = OddImap()
    pool, secrets = pool_at(odd), HangingSecrets()

    async def run(threads: ThreadPoolExecutor) -> None:
        def run_blocking(call: Any) -> Any:  # noqa: ANN401 - what the call returns
            return asyncio.get_running_loop().run_in_executor(threads, call)

        async with httpx.AsyncClient(verify=make_tls_context()) as http:
            servers = ImapServers(
                secrets, AccessTokens(http), timeout_s=10, max_connections=1, run_blocking=run_blocking
            )
            await servers.open(pool.mailbox(0), time_left_s=0.05)

    with ThreadPoolExecutor(1) as threads:
        with pytest.raises(VisitFailedError) as failed:
            asyncio.run(run(threads))
        secrets.released.set()
    assert failed.value.failure == "timeout"
    assert not secrets.is_over
    assert odd.said == []
