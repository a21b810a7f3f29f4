"""Powertools' Idempotency before planning and dispatch: a tick that was carried out is not carried out again, one whose
function died on the way is, and one that is under way goes back to the queue."""

import time

import pytest

from mailtide.warmup import keys
from tests.integration.planning.test_handlers import Deployed, mailbox, roomy_tick
from tests.support import dynamodb

MAILBOXES = 60
SHARDS = 3


class Ticks:
    """A deployed warm-up whose present tick has been planned and dispatched, and the records of that."""

    def __init__(self, deployed: Deployed) -> None:
        self.deployed = deployed
        self.today, self.tick = roomy_tick()
        self._table = deployed.environment["MAILTIDE_IDEMPOTENCY_TABLE"]
        self._client = dynamodb.client_of(deployed.url)
        self.plan()
        self.messages = deployed.received("dispatch")
        assert len(self.messages) == SHARDS
        assert self.dispatch() == []
        self.offered = deployed.delayed("send")
        assert self.offered > 0

    def plan(self) -> list[str]:
        return self.deployed.invoke("plan_warmup", self.tick)[0]

    def dispatch(self) -> list[str]:
        """Without the summaries, whose tick would hold the use case back as well."""
        for shard in range(SHARDS):
            self.deployed.bucket.delete(keys.summary(self.today, shard))
        return self.deployed.invoke("dispatch_shard", *self.messages)[0]

    def set_under_way(self, until_s: float) -> None:
        """Every record as a function leaves it that has begun and not ended; it may take until then."""
        records = self._client.scan(TableName=self._table)["Items"]
        assert len(records) == SHARDS + 1
        for record in records:
            self._client.update_item(
                TableName=self._table,
                Key={"id": record["id"]},
                UpdateExpression="SET #s = :under_way, in_progress_expiration = :until",
                ExpressionAttributeNames={"#s": "status"},
                ExpressionAttributeValues={
                    ":under_way": {"S": "INPROGRESS"},
                    ":until": {"N": str(int(until_s * 1000))},
                },
            )


@pytest.fixture(scope="module")
def ticks(ministack: str) -> Ticks:
    deployed = Deployed(ministack)
    deployed.mailboxes.put_many([mailbox(number) for number in range(MAILBOXES)])
    return Ticks(deployed)


def test_what_was_carried_out_is_not_carried_out_again(ticks: Ticks) -> None:
    assert ticks.plan() == []
    assert ticks.deployed.received("dispatch") == []
    assert ticks.dispatch() == []
    assert ticks.deployed.delayed("send") == ticks.offered


def test_what_is_under_way_goes_back_to_the_queue(ticks: Ticks) -> None:
    ticks.set_under_way(time.time() + 300)
    assert ticks.plan() == ["0"]
    assert ticks.dispatch() == ["0", "1", "2"]
    assert ticks.deployed.received("dispatch") == []
    assert ticks.deployed.delayed("send") == ticks.offered


def test_what_a_dead_function_began_is_carried_out(ticks: Ticks) -> None:
    ticks.set_under_way(time.time() - 1)
    assert ticks.plan() == []
    assert len(ticks.deployed.received("dispatch")) == SHARDS
    assert ticks.dispatch() == []
    assert ticks.deployed.delayed("send") > ticks.offered
