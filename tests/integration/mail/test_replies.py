"""Every row of the table of replies, played by a scripted server at each step where it can come, and silence at every step."""

from collections.abc import Callable, Iterator

import pytest

from mailtide.warmup.classify import MailRefusedError
from mailtide.warmup.consequences import judge
from mailtide.warmup.contracts import DAY_MS
from mailtide.warmup.ids import message_id
from mailtide.warmup.settings import WarmupSettings
from tests.integration.mail.conftest import World
from tests.support.mail_servers import LoopThread, ScriptedServer

HOUR_MS = 3_600_000


@pytest.fixture
def server(loop: LoopThread) -> Iterator[ScriptedServer]:
    started = ScriptedServer(loop)
    yield started
    started.close()


@pytest.fixture
def world(server: ScriptedServer, world_at: Callable[..., World]) -> World:
    return world_at(server.port, smtp_timeout_ms=400)


THROTTLED = ["421 4.7.0 Try again later", "450 4.2.1 Too fast", "432 4.3.2 Too many connections"]
TRANSIENT = [
    "421 4.3.0 Down",
    "421 Service not available",
    "451 4.3.0 Local error",
    "452 4.2.2 Over quota",
    "450 4.7.1 Greylisted",
]
AUTH_PERMANENT = [
    "535 5.7.8 Bad credentials",
    "534 5.7.9 Application password required",
    "530 5.7.0 Authentication required",
    "550 5.7.30 Basic authentication is not supported",
]
DAILY_LIMIT = [
    "550 5.4.5 Daily sending quota exceeded",
    "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceeded",
]
DIALECT = [
    ("google", "421 4.7.28 Unusual rate of unsolicited mail", "put_back"),
    ("microsoft", "451 4.7.500 Access denied, please try again later", "put_back"),
    ("microsoft", "554 5.2.2 mailbox full; STOREDRV.Submission.Exception", "given_back"),
    ("microsoft", "550 5.1.8 Access denied, bad outbound sender", "failed"),
]
NO_RECIPIENT = ["550 5.1.1 User unknown", "551 User not local", "553 5.1.2 Mailbox name not allowed"]
POLICY = ["550 5.7.1 Blocked", "550 5.7.515 Access denied", "554 5.7.1 Spam", "554 Transaction failed"]
STEPS = ("mail", "rcpt", "data", "content")


def steps(replies: list[str], at: tuple[str, ...] = STEPS) -> pytest.MarkDecorator:
    """The first reply at every step, each of the others at the last."""
    cases = [(step, replies[0]) for step in at] + [(at[-1], reply) for reply in replies[1:]]
    return pytest.mark.parametrize(("step", "reply"), cases)


@steps(THROTTLED, ("greeting", *STEPS))
def test_throttled(world: World, server: ScriptedServer, step: str, reply: str) -> None:
    server.script[step] = [reply]
    sender, recipient = world.mailbox("alpha"), world.mailbox("beta")
    message = world.message(sender, recipient)
    before_ms = world.clock.now_ms()
    assert world.send(message).counts() == {"put_back": 1}
    view = world.view(message)
    assert (view.state(0), view.in_flight, view.tries) == (".", 0, {0: 1})
    assert before_ms + 5_000 <= view.next_ok_ms <= world.clock.now_ms() + 5_000
    assert 0 < world.pauses.left_ms("127.0.0.1") <= 5_000
    # Others of this process wait for the host too, without a claim.
    other = world.message(world.mailbox("gamma"), recipient)
    assert world.send(other).counts() == {"put_back": 1}
    assert server.steps["greeting"] == 1
    assert server.record.mails == []


def test_throttling_doubles_up_to_an_hour() -> None:
    refused = MailRefusedError.from_reply("mail", 421, "4.7.0 slow down")
    waits = [
        judge(refused, tries=tries, now_ms=0, settings=WarmupSettings()).next_ok_ms for tries in (0, 1, 2, 9, 10, 40)
    ]
    assert waits == [5_000, 10_000, 20_000, 2_560_000, HOUR_MS, HOUR_MS]


@steps(TRANSIENT, ("greeting", "auth", *STEPS))
def test_transient_three_times_then_failed(world: World, server: ScriptedServer, step: str, reply: str) -> None:
    server.script[step] = [reply] * 3
    sender, recipient = world.mailbox("alpha"), world.mailbox("beta")
    message = world.message(sender, recipient)
    world.settings = world.settings.model_copy(update={"mailbox_cooldown_min_ms": 0, "mailbox_cooldown_max_ms": 0})
    ends = [next(iter(world.send(message).counts())) for _ in range(4)]
    assert ends == ["put_back", "put_back", "failed", "not_claimed"]
    view = world.view(message)
    assert (view.states, view.tries, view.recent) == ("f", {0: 2}, 0)
    assert [60 <= delay_s <= 72 or 120 <= delay_s <= 132 for _, delay_s in world.queue.mails] == [True, True]
    assert (world.status(sender), world.status(recipient)) == ("active", "active")
    assert server.record.mails == []


def test_transient_then_sent(world: World, server: ScriptedServer) -> None:
    server.script["rcpt"] = ["451 4.3.0 Later"]
    sender = world.mailbox("alpha")
    message = world.message(sender, world.mailbox("beta"))
    assert world.send(message).counts() == {"put_back": 1}
    assert world.send(message).counts() == {"sent": 1}
    assert server.record.message_ids() == {message_id(message.send_id, sender.domain): 1}
    assert world.view(message).tries == {0: 1}


@pytest.mark.parametrize(
    ("step", "reply"), [("auth", "454 4.7.0 Temporary authentication failure"), ("mail", THROTTLED[0])]
)
def test_a_pause_holds_over_midnight(world: World, server: ScriptedServer, step: str, reply: str) -> None:
    """The next day has another item in the ledger, which knows nothing of it."""
    server.script[step] = [reply]
    world.settings = world.settings.model_copy(update={"rate_limit_backoff_ms": HOUR_MS})
    world.clock.skip_ms(11 * HOUR_MS + 50 * 60_000)
    sender = world.mailbox("alpha")
    before_ms = world.clock.now_ms()
    assert world.send(world.message(sender, world.mailbox("beta"))).counts() == {"given_back": 1}
    found = world.mailboxes.get_many([sender.mailbox_id])[sender.mailbox_id]
    assert before_ms + HOUR_MS <= found.not_before_ms <= world.clock.now_ms() + HOUR_MS
    assert found.status == "active"


@pytest.mark.parametrize("reply", ["454 4.7.0 Temporary authentication failure"])
def test_auth_temporary(world: World, server: ScriptedServer, reply: str) -> None:
    server.script["auth"] = [reply]
    sender = world.mailbox("alpha")
    message = world.message(sender, world.mailbox("beta"))
    before_ms = world.clock.now_ms()
    assert world.send(message).counts() == {"given_back": 1}
    view = world.view(message)
    assert (view.tries, view.in_flight) == ({}, 0)
    assert view.next_ok_ms >= before_ms + HOUR_MS
    assert world.status(sender) == "active"


@steps(AUTH_PERMANENT, ("auth", "mail"))
def test_auth_permanent(world: World, server: ScriptedServer, step: str, reply: str) -> None:
    server.script[step] = [reply]
    sender, recipient = world.mailbox("alpha"), world.mailbox("beta")
    message = world.message(sender, recipient)
    assert world.send(message).counts() == {"given_back": 1}
    assert world.send(message).counts() == {"skipped": 1}
    assert (world.status(sender), world.status(recipient)) == ("disconnected", "active")
    assert world.view(message).in_flight == 0
    assert server.steps["auth"] == 1


@steps(DAILY_LIMIT)
def test_daily_limit_parks_for_a_day(world: World, server: ScriptedServer, step: str, reply: str) -> None:
    server.script[step] = [reply]
    sender, recipient = world.mailbox("alpha"), world.mailbox("beta")
    message = world.message(sender, recipient)
    before_ms = world.clock.now_ms()
    assert world.send(message).counts() == {"given_back": 1}
    stored = world.mailboxes.get_many([sender.mailbox_id])[sender.mailbox_id]
    assert stored.status == "active"
    assert before_ms + DAY_MS <= stored.not_before_ms <= world.clock.now_ms() + DAY_MS
    assert world.status(recipient) == "active"
    view = world.view(message)
    assert (view.state(0), view.in_flight, view.bounces) == (".", 0, 0)


@pytest.mark.parametrize(("provider", "reply", "end"), DIALECT)
def test_a_provider_may_mean_something_of_its_own(
    world: World, server: ScriptedServer, provider: str, reply: str, end: str
) -> None:
    """Without the dialects: tried again at once by others, failed and counted as policy, failed and not counted."""
    server.script["content"] = [reply]
    world.provider = provider
    sender = world.mailbox("alpha")
    message = world.message(sender, world.mailbox("beta"))
    assert world.send(message).counts() == {end: 1}
    mailbox = world.mailboxes.get_many([sender.mailbox_id])[sender.mailbox_id]
    assert (world.pauses.left_ms("127.0.0.1") > 0) == (end == "put_back")
    assert (mailbox.not_before_ms > 0) == ("The mailbox is full" in mailbox.status_reason) == (end == "given_back")
    assert world.view(message).policy_refusals == (end == "failed")


@steps(NO_RECIPIENT, ("rcpt", "data", "content"))
def test_no_such_recipient_leaves_the_pool(world: World, server: ScriptedServer, step: str, reply: str) -> None:
    server.script[step] = [reply]
    sender, recipient = world.mailbox("alpha"), world.mailbox("beta")
    message = world.message(sender, recipient)
    assert world.send(message).counts() == {"failed": 1}
    assert (world.status(sender), world.status(recipient)) == ("active", "quarantined")
    view = world.view(message)
    assert (view.states, view.bounces, view.recent, view.in_flight) == ("f", 1, 1, 0)


@steps(POLICY)
def test_policy_counts_towards_quarantine(world: World, server: ScriptedServer, step: str, reply: str) -> None:
    server.script[step] = [reply] * 2
    world.settings = world.settings.model_copy(update={"mailbox_cooldown_min_ms": 0, "mailbox_cooldown_max_ms": 0})
    sender, recipient = world.mailbox("alpha"), world.mailbox("beta")
    message = world.message(sender, recipient)
    assert world.send(message).counts() == {"failed": 1}
    assert world.status(sender) == "active"
    assert world.send(world.message(sender, recipient, 1)).counts() == {"failed": 1}
    assert (world.status(sender), world.status(recipient)) == ("quarantined", "active")
    assert world.view(message).policy_refusals == 2


def test_more_than_five_bounces_quarantine(world: World, server: ScriptedServer) -> None:
    server.script["rcpt"] = ["550 5.1.1 Unknown"] * 6
    world.settings = world.settings.model_copy(update={"mailbox_cooldown_min_ms": 0, "mailbox_cooldown_max_ms": 0})
    sender = world.mailbox("alpha")
    statuses = []
    for number in range(6):
        world.send(world.message(sender, world.mailbox(f"b{number}"), number))
        statuses.append(world.status(sender))
    assert statuses == ["active"] * 5 + ["quarantined"]


@pytest.mark.parametrize(
    "reply", ["500 5.5.2 What?", "552 5.3.4 Too big", "550 Rejected", "550 5.7.26 Unauthenticated"]
)
def test_other_permanent_replies_fail_the_mail_alone(world: World, server: ScriptedServer, reply: str) -> None:
    server.script["content"] = [reply]
    sender, recipient = world.mailbox("alpha"), world.mailbox("beta")
    message = world.message(sender, recipient)
    assert world.send(message).counts() == {"failed": 1}
    assert (world.status(sender), world.status(recipient)) == ("active", "active")
    assert world.view(message).policy_refusals == 0


@pytest.mark.parametrize("action", ["DROP", "STALL"])
@pytest.mark.parametrize("step", ["greeting", "ehlo", "auth", "mail", "rcpt"])
def test_silence_before_data_is_transient(world: World, server: ScriptedServer, step: str, action: str) -> None:
    server.script[step] = [action]
    message = world.message(world.mailbox("alpha"), world.mailbox("beta"))
    assert world.send(message).counts() == {"put_back": 1}
    view = world.view(message)
    assert (view.in_flight, view.tries, view.unknown) == (0, {0: 1}, 0)


@pytest.mark.parametrize("action", ["DROP", "STALL", "ACCEPT_AND_DROP", "ACCEPT_AND_STALL", "nonsense", "354 Go on"])
def test_silence_after_data_is_unknown_and_never_sent_again(world: World, server: ScriptedServer, action: str) -> None:
    server.script["content"] = [action]
    message = world.message(world.mailbox("alpha"), world.mailbox("beta"))
    assert world.send(message).counts() == {"unknown": 1}
    view = world.view(message)
    assert (view.states, view.unknown, view.in_flight) == ("u", 1, 0)
    for _ in range(3):
        assert world.send(message).counts() == {"not_claimed": 1}
    assert server.steps["content"] == 1
    assert sum(server.record.message_ids().values()) == action.startswith("ACCEPT")


@pytest.mark.parametrize("action", ["DROP", "STALL"])
def test_silence_instead_of_354_is_unknown(world: World, server: ScriptedServer, action: str) -> None:
    server.script["data"] = [action]
    message = world.message(world.mailbox("alpha"), world.mailbox("beta"))
    assert world.send(message).counts() == {"unknown": 1}


def test_an_unreachable_server_is_transient(world: World, server: ScriptedServer) -> None:
    server.close()
    message = world.message(world.mailbox("alpha"), world.mailbox("beta"))
    assert world.send(message).counts() == {"put_back": 1}
    assert world.view(message).tries == {0: 1}


def test_a_stalling_server_holds_up_nobody_else(world: World, server: ScriptedServer) -> None:
    server.script["greeting"] = ["STALL"] * 5
    recipient = world.mailbox("target")
    messages = [world.message(world.mailbox(f"s{number}"), recipient) for number in range(15)]
    assert world.send(*messages).counts() == {"sent": 10, "put_back": 5}
    assert set(server.record.message_ids().values()) == {1}
