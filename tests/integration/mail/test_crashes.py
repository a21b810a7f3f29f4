"""A sender that ends at any point (os._exit, in a process of its own), and its message delivered again and again."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mailtide.warmup.contracts import LedgerKey, SendMessage
from mailtide.warmup.ids import message_id
from mailtide.warmup.ports import CLAIM_TTL_MS
from tests.integration.mail.conftest import World
from tests.support import forkserver
from tests.support.crashing_worker import CRASHED, POINTS
from tests.support.mail_servers import LoopThread, RecordingServer

BEFORE_DATA = ("claim:before", "claim:after", "tokens:after", "offer:after", "begin_data:before")


@pytest.fixture
def server(loop: LoopThread) -> Iterator[RecordingServer]:
    started = RecordingServer(loop)
    yield started
    started.close()


def run_worker(world: World, message: SendMessage, point: str) -> int:
    cloud = world.cloud
    order = {
        "url": cloud.url,
        "ledger_table": cloud.ledger_table,
        "limits_table": cloud.limits_table,
        "mailboxes_table": cloud.mailboxes_table,
        "key_id": cloud.key_id,
        "now_ms": world.clock.now_ms(),
        "message": message.model_dump_json(),
        "point": point,
    }
    done = forkserver.run("tests.support.crashing_worker:main", env={}, text=json.dumps(order))
    assert done.returncode in {0, CRASHED}, done.stderr
    return done.returncode


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_never_sends_twice(point: str, server: RecordingServer, world_at: Callable[..., World]) -> None:
    server.handler.delay_after_s = 2.0 if point == "data:during" else 0.0
    world = world_at(server.port)
    sender, recipient = world.mailbox("alpha"), world.mailbox("beta")
    hour = 3_600_000
    message = world.message(sender, recipient, tick_end_ms=world.clock.now_ms() + hour)
    assert run_worker(world, message, point) == CRASHED
    at_crash = sum(server.record.message_ids().values())
    assert at_crash == (point in {"data:during", "data:after", "finish:before", "finish:after"})

    # Redelivered at once: whoever claimed it may still be alive.
    early = world.send(message).counts()
    assert early == ({"sent": 1} if point == "claim:before" else {"not_claimed": 1})

    # Redelivered when the claim has expired, several times and to several at once.
    later = world_at(server.port)
    later.name = world.name
    later.clock = world.clock
    world.clock.skip_ms(2 * CLAIM_TTL_MS)
    key = LedgerKey(message.day, message.shard, message.mailbox_id)
    with ThreadPoolExecutor(2) as both:
        ends = list(both.map(lambda each: each.send(message, message).counts(), (world, later)))
    view = world.ledger.read(key)
    assert view is not None
    world.ledger.expire(view, now_ms=world.clock.now_ms())
    world.clock.skip_ms(2 * CLAIM_TTL_MS)
    assert world.send(message).counts() == {"not_claimed": 1}, ends

    sent = server.record.message_ids()
    expected = message_id(message.send_id, sender.domain)
    is_lost = point in {"begin_data:after", "data:before"}
    assert sent == ({} if is_lost else {expected: 1})
    state = world.view(message).states
    assert state == ("u" if point not in {*BEFORE_DATA, "finish:after"} else "s")
    assert world.view(message).in_flight == 0


def test_every_message_twice_to_four_senders(server: RecordingServer, world_at: Callable[..., World]) -> None:
    """Duplicates and reorderings: forty messages, each handled eight times by four senders at once."""
    worlds = [world_at(server.port, max_concurrent=8) for _ in range(4)]
    recipient = worlds[0].mailbox("target")
    messages = [worlds[0].message(worlds[0].mailbox(f"s{number}"), recipient) for number in range(40)]
    for world in worlds[1:]:
        world.clock = worlds[0].clock
    with ThreadPoolExecutor(4) as four:
        orders = [messages, messages[::-1], messages[20:] + messages[:20], messages[::2] + messages[1::2]]
        reports = list(
            four.map(lambda pair: pair[0].send(*pair[1], *pair[1]).counts(), zip(worlds, orders, strict=True))
        )
    assert sum(report.get("sent", 0) for report in reports) == 40
    assert len(server.record.message_ids()) == 40
    assert set(server.record.message_ids().values()) == {1}
