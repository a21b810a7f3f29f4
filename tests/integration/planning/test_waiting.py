"""Visits that are asked for, and replies that wait for them, over real tables and queues; the clock stands at noon."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import boto3
import pytest

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.mailboxes import DynamoMailboxes
from mailtide.adapters.dynamodb.placements import DynamoPlacements
from mailtide.adapters.dynamodb.table import Table
from mailtide.adapters.mail_queue import SqsMailQueue
from mailtide.warmup.contracts import LedgerKey, MailServer, SendMessage, ShardTick
from mailtide.warmup.days import ShardDay
from mailtide.warmup.dispatch import dispatch_shard
from mailtide.warmup.ids import SendId
from mailtide.warmup.reading.contracts import Placement, ReadMessage
from mailtide.warmup.replies import planned_replies
from mailtide.warmup.roster import make_roster, shard_of
from mailtide.warmup.services import ReadingPorts
from mailtide.warmup.settings import WarmupResources
from tests.integration.planning.test_faults import Deployment, shared_proxy
from tests.integration.planning.test_handlers import CREDENTIALS, mailbox
from tests.support import dynamodb
from tests.support.faulty_proxy import FaultyProxy
from tests.support.warmup_pools import DAY, MADE_AT

__all__ = ["shared_proxy"]

IMAP = MailServer(host="127.0.0.1", port=1430, security="none")
READ = [mailbox(number).model_copy(update={"imap": IMAP}) for number in range(0, 60, 2)]
READ_IDS = {box.mailbox_id for box in READ}


class Site(Deployment):
    """Half of the mailboxes have an IMAP server."""

    def __init__(self, url: str, proxy: FaultyProxy) -> None:
        super().__init__(url, proxy)
        proxy.sound()
        proxy.carried.clear()
        pool = self.services.mailboxes
        assert isinstance(pool, DynamoMailboxes)
        pool.put_many(READ)
        direct = dynamodb.client_of(url)
        queue_url = boto3.client("sqs", endpoint_url=url, **CREDENTIALS).create_queue(QueueName=f"r-{uuid4().hex[:8]}")
        self.queues["read"] = queue_url["QueueUrl"].replace(url, proxy.url)
        resources = WarmupResources(bucket="none", warmup_read_queue_url=self.queues["read"])
        table = Table(dynamodb.create_reads_table(direct), direct, ServerClock())
        self.placements = DynamoPlacements(table, retention_days=30)
        self.services = replace(
            self.services,
            settings=self.services.settings.model_copy(update={"read_minutes": 10, "reply_rate": 1.0}),
            reading=ReadingPorts(placements=self.placements, queue=SqsMailQueue(self._client("sqs", proxy), resources)),
        )
        settings = self.services.settings
        boxes = [mailbox(number) for number in range(60)]
        self.services.rosters.write(make_roster(boxes, day=DAY, settings=settings, made_at=MADE_AT))

    def tick(self) -> tuple[list[SendMessage], list[ReadMessage]]:
        """What the next tick queues."""
        self.proxy.carried.clear()
        begin_ms = self.clock.at_ms
        for shard in range(2):
            tick = ShardTick(day=DAY, start_ms=begin_ms, end_ms=begin_ms + 600_000, shard=shard)
            dispatch_shard(self.services, tick)
        self.clock.at_ms += 600_000
        mails = [SendMessage.model_validate_json(body) for body in self._queued("send")]
        return mails, [ReadMessage.model_validate_json(body) for body in self._queued("read")]

    def original_of(self, mail: SendMessage) -> SendId | None:
        """What a mail was planned to answer."""
        shard: ShardDay | None = self.services.rosters.shard(DAY, mail.shard)
        assert shard is not None
        (member,) = (one for one in shard.members if one.mailbox_id == mail.mailbox_id)
        answered = planned_replies(shard, member).get(mail.round)
        return SendId(DAY, shard.day.pool.mailbox_ids[answered[0]], answered[1]) if answered else None


@pytest.fixture
def site(ministack: str, shared_proxy: FaultyProxy) -> Iterator[Site]:
    yield Site(ministack, shared_proxy)
    shared_proxy.carried.clear()


def test_who_is_read_is_visited_and_answers_what_was_found(site: Site) -> None:
    first, visits = site.tick()
    assert Counter(name for visit in visits for name in visit.mailbox_ids) == Counter(READ_IDS)
    for visit in visits:
        assert {shard_of(name, 2) for name in visit.mailbox_ids} == {visit.shard}
    assert [mail for mail in first if mail.reply_to and mail.mailbox_id not in READ_IDS], "of whom nobody reads"
    assert not [mail for mail in first if mail.reply_to and mail.mailbox_id in READ_IDS]

    senders = {mailbox(number).mailbox_id for number in range(12)}
    for name in senders:
        found = {number: Placement("junk", "google") for number in range(30)}
        site.placements.record(LedgerKey(DAY, shard_of(name, 2), name), found)
    second, visits = site.tick()
    assert Counter(name for visit in visits for name in visit.mailbox_ids) == Counter(READ_IDS)
    answers = Counter[bool]()
    for mail in second:
        original = site.original_of(mail)
        if mail.mailbox_id in READ_IDS and original is not None:
            was_found = original.mailbox_id in senders
            assert mail.reply_to == (str(original) if was_found else None)
            answers[was_found] += 1
    assert answers[True] > 0
