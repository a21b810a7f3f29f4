"""The workers: each role does its function's work, ends gently when asked to, and loses nothing when it is not asked."""

import json
import signal
import time
from collections import Counter

from mailtide.adapters.dynamodb.ledger import encode_key
from mailtide.adapters.dynamodb.table import encode
from mailtide.warmup import keys
from mailtide.warmup.contracts import LedgerKey, RoundState, SendMessage, day_of
from mailtide.warmup.objects import RosterHeader, ShardSummary
from mailtide.warmup.settings import OLD_NAMES
from mailtide.warmup.store import read
from tests.integration.worker.conftest import Site
from tests.support import dynamodb

SLOW_S = 0.2
MAILS = 32
OLD = {"WARMUP_WORKER_ID": "worker-7d9f", "WARMUP_DISTRIBUTED_MODE": "true", "WARMUP_BATCH_DELAY_MS": "2000"}


def key_of(message: SendMessage) -> LedgerKey:
    return LedgerKey(message.day, message.shard, message.mailbox_id)


def states(site: Site, messages: list[SendMessage]) -> Counter[RoundState]:
    views = site.ledger.read_shard(messages[0].day, messages[0].shard)
    found = (views.get(message.mailbox_id) for message in messages)
    return Counter(view.state(0) if view else RoundState.UNTAKEN for view in found)


def sent_ids(site: Site, messages: list[SendMessage]) -> Counter[str]:
    """Message-IDs at the server by mailbox; each mailbox has one mail."""
    ids = site.server.record.message_ids()
    return Counter({one.mailbox_id: n for one in messages for mid, n in ids.items() if one.mailbox_id in mid})


def test_planner_and_dispatcher_need_no_lambda(site: Site) -> None:
    site.add_mailboxes(40)
    planner = site.start("plan", **OLD, WARMUP_CRON_INTERVAL_MINUTES="10")
    dispatcher = site.start("dispatch")

    def has_summaries() -> bool:
        today = day_of(int(time.time() * 1000))
        bucket = site.deployed.bucket
        header = read(bucket, keys.roster(today), RosterHeader)
        return header is not None and all(
            read(bucket, keys.summary(today, shard), ShardSummary) for shard in range(header.shards)
        )

    site.wait_for(has_summaries)
    assert planner.is_healthy()
    assert dispatcher.is_healthy()
    dispatcher.tell()
    assert (planner.end(), dispatcher.end()) == (0, 0)
    (made,) = (json.loads(line) for line in planner.text().splitlines() if '"message":"roster_made"' in line)
    assert (made["mailboxes"], made["warnings"], made["level"]) == (40, [], "INFO")
    for name in (*OLD, "WARMUP_CRON_INTERVAL_MINUTES"):
        assert f"mailtide: {name}: {OLD_NAMES[name]}" in planner.text()
    for trace in ("@", "box-"):
        assert trace not in planner.text() + dispatcher.text()
    waiting = site.deployed.sqs.get_queue_attributes(QueueUrl=site.deployed.queues["dispatch"], AttributeNames=["All"])
    left = waiting["Attributes"]
    assert (left["ApproximateNumberOfMessages"], left["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")


def ten_minutes_pass(site: Site, messages: list[SendMessage]) -> None:
    """Claims of a worker that is gone expire."""
    client = dynamodb.client_of(site.deployed.url)
    for message in messages:
        view = site.ledger.read(key_of(message))
        if view is not None and view.expires_ms:
            client.update_item(
                TableName=site.environment["MAILTIDE_LEDGER_TABLE"],
                Key=encode(encode_key(key_of(message))),
                UpdateExpression="SET e0 = e0 - :passed",
                ExpressionAttributeValues={":passed": {"N": "601000"}},
            )


def test_a_rough_day_sends_nothing_twice_and_loses_nothing(site: Site) -> None:
    """A worker is asked to end, the next one is killed in the midst of its mails, two more finish the work.

    One test, since each start of a process and each window of the limits takes its seconds.
    """
    site.server.handler.delay_s = site.server.handler.delay_after_s = SLOW_S
    messages = site.messages(site.add_mailboxes(MAILS))
    site.offer(messages)
    asked = site.start("send", WARMUP_MAX_CONCURRENT="4")
    site.wait_for(lambda: len(site.server.record.mails) >= 3)
    assert asked.end() == 0
    found = states(site, messages)
    # What was claimed was finished, and what was not is on the queue again.
    assert found.keys() <= {RoundState.SENT, RoundState.UNTAKEN}
    assert 3 <= found[RoundState.SENT] < MAILS
    assert sum(sent_ids(site, messages).values()) == found[RoundState.SENT]
    assert "has ended after" in asked.text()

    before = len(site.server.record.mails)
    killed = site.start("send", WARMUP_MAX_CONCURRENT="4")
    site.wait_for(lambda: len(site.server.record.mails) >= before + 3)
    assert killed.end(signal.SIGKILL) == -signal.SIGKILL
    time.sleep(3 * SLOW_S)
    at_death = states(site, messages)
    in_data = at_death[RoundState.DATA]
    assert at_death[RoundState.UNTAKEN] > 0
    assert in_data + at_death[RoundState.SENDING] > 0

    # As the next tick does, and twice over.
    site.server.handler.delay_s = site.server.handler.delay_after_s = 0.0
    ten_minutes_pass(site, messages)
    site.offer(messages)
    site.offer(messages)
    first, second = site.start("send"), site.start("send")
    site.wait_for(lambda: states(site, messages)[RoundState.SENT] == MAILS - in_data)
    second.tell()
    assert (first.end(), second.end()) == (0, 0)
    assert states(site, messages) == Counter({RoundState.SENT: MAILS - in_data, RoundState.DATA: in_data})
    assert max(sent_ids(site, messages).values()) == 1

    # What was in DATA becomes unknown at the next tick, and is never sent again; all others are at the server.
    for message in messages:
        view = site.ledger.read(key_of(message))
        assert view is not None
        if view.state(0) == RoundState.DATA:
            after = site.ledger.expire(view, now_ms=int(time.time() * 1000))
            assert after.state(0) == RoundState.UNKNOWN
        else:
            assert sent_ids(site, [message])[message.mailbox_id] == 1


def test_a_missing_queue_is_one_sentence(site: Site) -> None:
    worker = site.start("send", MAILTIDE_WARMUP_SEND_QUEUE_URL="")
    assert worker.process.wait(30) == 2
    assert worker.text() == "mailtide: The setting MAILTIDE_WARMUP_SEND_QUEUE_URL is missing.\n"


def test_what_does_not_answer_is_tried_again(site: Site) -> None:
    worker = site.start("send", AWS_ENDPOINT_URL="http://127.0.0.1:1")
    site.wait_for(lambda: "again in 2 s" in worker.text())
    assert worker.is_healthy()
    assert worker.end() == 0
    assert "Traceback" not in worker.text()
