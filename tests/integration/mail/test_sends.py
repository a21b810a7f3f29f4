"""Whole sends: real tables, a real server (aiosmtpd), real connections."""

from collections.abc import Callable, Iterator
from email.header import decode_header, make_header

import pytest

from mailtide.warmup.attempt import LIMIT_SPREAD_S
from mailtide.warmup.content import packaged_templates, subject_of
from mailtide.warmup.ids import message_id
from mailtide.warmup.limits import GlobalLimits
from mailtide.warmup.objects import ControlFlags
from tests.integration.mail.conftest import World
from tests.support.mail_servers import LoopThread, RecordingServer
from tests.support.tls import Authority


@pytest.fixture
def server(loop: LoopThread) -> Iterator[RecordingServer]:
    started = RecordingServer(loop)
    yield started
    started.close()


@pytest.fixture
def world(server: RecordingServer, world_at: Callable[..., World]) -> World:
    return world_at(server.port)


def test_a_mail_arrives_once(world: World, server: RecordingServer) -> None:
    sender, recipient = world.mailbox("alpha"), world.mailbox("beta")
    message = world.message(sender, recipient, 4)
    report = world.send(message, message)
    assert report.counts() == {"sent": 1, "not_claimed": 1}
    assert world.send(message).counts() == {"not_claimed": 1}
    expected = message_id(message.send_id, sender.domain)
    assert server.record.message_ids() == {expected: 1}
    view = world.view(message)
    assert (view.states, view.sent, view.in_flight, view.recent, view.bounces) == ("....s", 1, 0, 1, 0)
    [mail] = server.record.mails
    assert mail["From"] == f"The alpha <{sender.address}>"
    assert mail["To"] == f"The beta <{recipient.address}>"
    assert (mail["X-Mailtide-Warmup"], mail["Auto-Submitted"]) == ("yes", "auto-generated")
    assert str(make_header(decode_header(mail["Subject"]))) == subject_of(
        message.send_id, packaged_templates(), sender="The alpha", recipient="The beta"
    )
    assert "In-Reply-To" not in mail


def test_a_reply_goes_to_whom_it_answers(world: World, server: RecordingServer) -> None:
    first, second, third = (world.mailbox(name) for name in ("alpha", "beta", "gamma"))
    original = world.message(first, second, 0)
    reply = world.message(second, third, 1, reply_to=str(original.send_id), reply_to_shard=original.shard)
    assert world.send(original).counts() == {"sent": 1}
    assert world.send(reply).counts() == {"sent": 1}
    assert world.view(reply).states == ".r"
    mail = server.record.mails[1]
    wanted = message_id(original.send_id, first.domain)
    assert (mail["In-Reply-To"], mail["References"]) == (wanted, wanted)
    assert mail["To"] == f"The alpha <{first.address}>"
    assert mail["Subject"] == f"Re: {server.record.mails[0]['Subject']}"


def test_a_reply_to_what_was_not_sent_is_an_ordinary_mail(world: World, server: RecordingServer) -> None:
    first, second, third = (world.mailbox(name) for name in ("alpha", "beta", "gamma"))
    original = world.message(first, second, 0)
    reply = world.message(second, third, 1, reply_to=str(original.send_id), reply_to_shard=original.shard)
    assert world.send(reply).counts() == {"sent": 1}
    assert world.view(reply).states == ".s"
    [mail] = server.record.mails
    assert mail["To"] == f"The gamma <{third.address}>"
    assert not mail["Subject"].startswith("Re:")


def test_a_second_mail_waits_for_the_cooldown(world: World, server: RecordingServer) -> None:
    sender, recipient = world.mailbox("alpha"), world.mailbox("beta")
    messages = [world.message(sender, recipient, number) for number in range(2)]
    report = world.send(*messages)
    assert report.counts() == {"sent": 1, "put_back": 1}
    [(again, delay_s)] = world.queue.mails
    assert again in messages
    assert 119 <= delay_s <= 312
    assert len(server.record.mails) == 1


@pytest.mark.parametrize(
    ("changes", "ending"),
    [
        ({"tick_end_ms": -1, "tick_ms": 1}, "stale"),
        ({"tick_end_ms": 0}, "sent"),
        ({"target": 0}, "not_claimed"),
    ],
)
def test_late_and_superfluous_messages(
    world: World, server: RecordingServer, changes: dict[str, int], ending: str
) -> None:
    sender, recipient = world.mailbox("alpha"), world.mailbox("beta")
    if "tick_end_ms" in changes:
        changes = changes | {"tick_end_ms": world.clock.now_ms() - 1_000 + changes["tick_end_ms"]}
    assert world.send(world.message(sender, recipient, **changes)).counts() == {ending: 1}
    assert len(server.record.mails) == (ending == "sent")


@pytest.mark.parametrize("status", ["paused", "disconnected", "quarantined"])
def test_only_active_mailboxes_write_and_are_written_to(world: World, server: RecordingServer, status: str) -> None:
    stopped, other = world.mailbox("alpha", status=status), world.mailbox("beta")
    mine, theirs = world.message(stopped, other), world.message(other, stopped)
    assert world.send(mine, theirs).counts() == {"skipped": 1, "recipient_gone": 1}
    assert world.view(theirs).states == "f"
    assert server.record.mails == []


def test_stops_and_parking_hold_a_mailbox_back(world: World, server: RecordingServer) -> None:
    sender, recipient = world.mailbox("alpha"), world.mailbox("beta")
    for stop in (ControlFlags(paused=True), ControlFlags(paused_users=frozenset({sender.user_id}))):
        world.stops.now = stop
        assert world.send(world.message(sender, recipient)).counts() == {"skipped": 1}
    world.stops.now = ControlFlags()
    world.mailboxes.park(sender.mailbox_id, world.clock.now_ms() + 60_000, "parked")
    assert world.send(world.message(sender, recipient)).counts() == {"skipped": 1}
    assert server.record.mails == []


def test_no_send_begins_when_time_is_short(world: World, server: RecordingServer) -> None:
    sender, recipient = world.mailbox("alpha"), world.mailbox("beta")
    message = world.message(sender, recipient)
    assert world.send(message, time_left_s=59.0).counts() == {"put_back": 1}
    assert [again for again, _ in world.queue.mails] == [message]
    assert server.record.mails == []


def test_what_the_limits_refuse_goes_back_unclaimed(server: RecordingServer, world_at: Callable[..., World]) -> None:
    world = world_at(server.port, limits=GlobalLimits(hour=1_000, minute=8))
    recipient = world.mailbox("target")
    senders = [world.mailbox(f"s{number}") for number in range(7)]
    messages = [world.message(sender, recipient) for sender in senders]
    report = world.send(*messages)
    assert report.counts() == {"sent": 4, "put_back": 3}
    assert len(server.record.mails) == 4
    refused = [message for message, _ in world.queue.mails]
    assert len(refused) == 3
    assert all(25 <= delay_s <= 36 + LIMIT_SPREAD_S for _, delay_s in world.queue.mails)
    for message in refused:
        view = world.view(message)
        assert (view.in_flight, view.next_ok_ms, view.tries) == (0, 0, {})


def test_put_back_only_within_the_tick(server: RecordingServer, world_at: Callable[..., World]) -> None:
    world = world_at(server.port, limits=GlobalLimits(hour=1_000, minute=2))
    recipient = world.mailbox("target")
    soon = world.clock.now_ms() + 20_000
    messages = [world.message(world.mailbox(f"s{n}"), recipient, tick_end_ms=soon) for n in range(3)]
    assert world.send(*messages).counts() == {"sent": 1, "given_back": 2}
    assert world.queue.mails == []


def test_lanes_and_hosts_bound_what_is_open_at_once(server: RecordingServer, world_at: Callable[..., World]) -> None:
    server.handler.delay_s = 0.1
    world = world_at(server.port, max_concurrent=8)
    recipient = world.mailbox("target")
    messages = [world.message(world.mailbox(f"s{number}"), recipient) for number in range(20)]
    assert world.send(*messages, host_concurrency=3).counts() == {"sent": 20}
    # Three in use, those that wait for another mail of their mailbox, and a few whose end the server has not noticed yet.
    assert server.record.most_connections <= 3 + 10 + 4
    assert max(server.record.message_ids().values()) == 1


def test_a_mailbox_writes_its_mails_over_one_connection(
    server: RecordingServer, world_at: Callable[..., World]
) -> None:
    world = world_at(server.port, max_concurrent=1, mailbox_cooldown_min_ms=0, mailbox_cooldown_max_ms=0)
    one, other, recipient = (world.mailbox(name) for name in ("alpha", "beta", "target"))
    messages = [world.message(each, recipient, number) for number in range(3) for each in (one, other)]
    assert world.send(*messages).counts() == {"sent": 6}
    assert (server.record.connections, server.record.logins) == (2, 2)
    # A batch leaves no connection open.
    assert world.send(world.message(one, recipient, 3)).counts() == {"sent": 1}
    assert (server.record.connections, server.record.logins) == (3, 3)


def test_where_a_mailboxs_connections_are_numbered_none_lies_idle(
    server: RecordingServer, world_at: Callable[..., World]
) -> None:
    world = world_at(server.port, mailbox_cooldown_min_ms=0, mailbox_cooldown_max_ms=0, max_concurrent=1)
    world.provider = "microsoft"
    sender, recipient = world.mailbox("alpha"), world.mailbox("beta")
    world.send(*(world.message(sender, recipient, number) for number in range(3)))
    assert (len(server.record.mails), server.record.connections) == (3, 3)


def test_starts_in_a_lane_are_staggered(server: RecordingServer, world_at: Callable[..., World]) -> None:
    world = world_at(server.port, max_concurrent=2, stagger_min_ms=400, stagger_max_ms=600)
    recipient = world.mailbox("target")
    messages = [world.message(world.mailbox(f"s{number}"), recipient) for number in range(6)]
    report = world.send(*messages)
    starts = sorted(one.ending.started_s for one in report.handled if one.ending.started_s is not None)
    assert len(starts) == 6
    assert all(later - earlier >= 0.4 for earlier, later in zip(starts, starts[2:], strict=False))


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_tls(loop: LoopThread, world_at: Callable[..., World], authority: Authority, security: str) -> None:
    server = RecordingServer(loop, security=security, tls=authority.server_context("127.0.0.1"))  # type: ignore[arg-type]  # a parameter is a plain str
    world = world_at(server.port, authority=authority)
    message = world.message(world.mailbox("alpha", security=security), world.mailbox("beta"))
    assert world.send(message).counts() == {"sent": 1}
    assert len(server.record.mails) == 1
    server.close()


@pytest.mark.parametrize("security", ["tls", "starttls"])
@pytest.mark.parametrize(("host", "days"), [("mail.elsewhere.example", 1), ("127.0.0.1", -1)])
def test_a_wrong_certificate_gets_no_password(
    loop: LoopThread, world_at: Callable[..., World], authority: Authority, security: str, host: str, days: int
) -> None:
    server = RecordingServer(loop, security=security, tls=authority.server_context(host, days=days))  # type: ignore[arg-type]  # a parameter is a plain str
    world = world_at(server.port, authority=authority)
    message = world.message(world.mailbox("alpha", security=security), world.mailbox("beta"))
    assert world.send(message).counts() == {"put_back": 1}
    assert world.view(message).tries == {0: 1}
    assert (server.record.logins, server.record.mails) == (0, [])
    server.close()


def test_no_starttls_no_password(server: RecordingServer, world: World) -> None:
    message = world.message(world.mailbox("alpha", security="starttls"), world.mailbox("beta"))
    assert world.send(message).counts() == {"put_back": 1}
    assert server.record.logins == 0


@pytest.mark.parametrize("method", ["PLAIN", "LOGIN"])
def test_methods(loop: LoopThread, world_at: Callable[..., World], method: str) -> None:
    server = RecordingServer(loop, methods=(method,))
    world = world_at(server.port)
    message = world.message(world.mailbox("alpha"), world.mailbox("beta"))
    assert world.send(message).counts() == {"sent": 1}
    assert server.record.logins == 1
    server.close()


def test_a_wrong_password_disconnects_the_mailbox_after_one_try(world: World, server: RecordingServer) -> None:
    sender = world.mailbox("alpha", password="wrong but secret")
    message = world.message(sender, world.mailbox("beta"))
    report = world.send(message)
    assert report.counts() == {"given_back": 1}
    stored = world.mailboxes.get_many([sender.mailbox_id])[sender.mailbox_id]
    assert stored.status == "disconnected"
    assert stored.status_reason == "The server refused the login (535 5.7.8)."
    assert (server.record.connections, world.view(message).in_flight) == (1, 0)
    assert "wrong but secret" not in repr(report) + repr(stored)
