"""send_mail as a function of the local cloud that its runtime ends in the middle of DATA, because its time is over."""

import io
import sysconfig
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest

from mailtide.warmup.contracts import SendMessage
from mailtide.warmup.ids import message_id
from mailtide.warmup.limits import window_at
from tests.integration.mail.conftest import Cloud, World
from tests.integration.mail.test_handler import ROOT, Deployed, keys, now_message
from tests.support.mail_servers import LoopThread, ScriptedServer

TIMEOUT_S = 3
VISIBILITY_S = 4
TRIES = 5
"""Until the function is in the middle of DATA when its time is over: one, but on a machine that stands still."""
FUNCTION = """
from mailtide import send_handler, sending

# As long as it begins, its time does not run.
sending.process()


class Frozen:
    '''Its process stood still until its time was nearly over, so that what it was told at first is all that it knows.'''

    def __init__(self, context):
        self._context = context

    def __getattr__(self, name):
        return getattr(self._context, name)

    def get_remaining_time_in_millis(self):
        return 300_000


def handler(event, context):
    return send_handler.handler(event, Frozen(context))
"""


class Function:
    """The function behind a queue of its own."""

    def __init__(self, cloud: Cloud, deployed: Deployed) -> None:
        self.functions: Any = boto3.client("lambda", endpoint_url=cloud.url, region_name="us-east-1", **keys())
        self.sqs = deployed.sqs
        self.name = f"send-mail-{uuid4().hex[:8]}"
        self.url = self.sqs.create_queue(QueueName=self.name, Attributes={"VisibilityTimeout": str(VISIBILITY_S)})[
            "QueueUrl"
        ]
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("app.py", FUNCTION)
        own = {name: value for name, value in deployed.environment.items() if not name.startswith("AWS_")}
        packages = f"{ROOT / 'layers' / 'shared'}:{sysconfig.get_path('purelib')}"
        self.functions.create_function(
            FunctionName=self.name,
            Runtime="python3.13",
            Handler="app.handler",
            Role="arn:aws:iam::000000000000:role/any",
            Code={"ZipFile": code.getvalue()},
            Timeout=TIMEOUT_S,
            Environment={"Variables": {**own, "PYTHONPATH": packages}},
        )
        self.mapping = self.functions.create_event_source_mapping(
            FunctionName=self.name,
            EventSourceArn=self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"][
                "QueueArn"
            ],
            BatchSize=10,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )["UUID"]

    def close(self) -> None:
        self.functions.delete_event_source_mapping(UUID=self.mapping)
        self.functions.delete_function(FunctionName=self.name)

    def begin(self) -> None:
        """Have its process up, so that all of its time is for the next message."""
        self.functions.invoke(FunctionName=self.name, Payload=b'{"Records": []}')

    def send(self, message: SendMessage) -> None:
        self.sqs.send_message(QueueUrl=self.url, MessageBody=message.model_dump_json())

    def has_failed(self) -> bool:
        """Whether the last call has."""
        return str(self.functions.get_event_source_mapping(UUID=self.mapping)["LastProcessingResult"]) == "FAILED"

    def is_done(self) -> bool:
        """Nothing waits, and nothing is being worked on or hidden."""
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"]) == 0


def until(condition: Callable[[], bool], what: str) -> None:
    ends_at = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends_at, what
        time.sleep(0.05)


def is_good_moment() -> bool:
    """Whether a token is good at once, and for some seconds to come: the function has no time to wait for one."""
    now_ms = int(time.time() * 1000)
    window = window_at(now_ms)
    return window.valid_from_ms <= now_ms < window.valid_until_ms - 10_000


@pytest.fixture
def server(loop: LoopThread) -> Iterator[ScriptedServer]:
    started = ScriptedServer(loop, {"content": ["ACCEPT_AND_STALL"] * TRIES})
    yield started
    started.close()


@pytest.fixture
def function(cloud: Cloud) -> Iterator[Function]:
    made = Function(cloud, Deployed(cloud))
    yield made
    made.close()


def make_claim_old(world: World, message: SendMessage) -> None:
    """In place of ten minutes of waiting."""
    world.cloud.client.update_item(
        TableName=world.cloud.ledger_table,
        Key={"p": {"S": f"{message.day}#{message.shard}"}, "m": {"S": message.mailbox_id}},
        UpdateExpression="SET e0 = :over",
        ExpressionAttributeValues={":over": {"N": "1"}},
    )


def send_until_ended_in_data(function: Function, world: World, server: ScriptedServer, message: SendMessage) -> None:
    """The server has taken the mail, and the function was ended before it was told so."""
    for _ in range(TRIES):
        function.begin()
        until(is_good_moment, "there is no such moment")
        function.send(message)
        until(lambda: function.has_failed() or function.is_done(), "the function's time does not end")
        if server.record.message_ids():
            return
        until(function.is_done, "the message does not come again")
        make_claim_old(world, message)
    raise AssertionError("the function is never in DATA when its time is over")


def test_a_mail_whose_function_ran_out_of_time_is_not_sent_again(
    function: Function, server: ScriptedServer, world_at: Callable[..., World]
) -> None:
    world = world_at(server.port)
    message = now_message(world)
    send_until_ended_in_data(function, world, server, message)
    server.script.clear()
    assert world.view(message).states == "d"

    # The claim gets old and a tick looks; then the queue hands the message out again.
    make_claim_old(world, message)
    world.ledger.expire(world.view(message), now_ms=message.due_ms)
    function.begin()
    until(function.is_done, "the message does not come again")
    assert world.view(message).states == "u"
    domain = world.mailboxes.get_many([message.mailbox_id])[message.mailbox_id].domain
    assert server.record.message_ids() == {message_id(message.send_id, domain): 1}
