"""What the fold keeps of a mailbox, on the real table: the contract, what planning and dispatch read, an import."""

import pytest

from mailtide.adapters.dynamodb.mailboxes import DynamoMailboxes, encode_mailbox, encode_mailbox_key
from mailtide.adapters.dynamodb.table import Table
from mailtide.adapters.kms import KmsSecrets, make_kms_client
from mailtide.warmup.contracts import Mailbox
from mailtide.warmup.import_mailboxes import import_mailboxes
from mailtide.warmup.mailbox_csv import Line
from tests.integration.tables.conftest import Engine
from tests.support import dynamodb
from tests.support.health_contract import *  # noqa: F403 - the contract's tests
from tests.support.health_contract import Build, kept, new_mailbox, record
from tests.support.warmup_pools import DAY


@pytest.fixture(scope="session")
def mailboxes_table(engine: Engine) -> str:
    return dynamodb.create_mailboxes_table(engine.client)


@pytest.fixture
def table(engine: Engine, mailboxes_table: str) -> Table:
    return engine.table(mailboxes_table)


@pytest.fixture
def pool(table: Table) -> DynamoMailboxes:
    return DynamoMailboxes(table)


@pytest.fixture
def build(pool: DynamoMailboxes) -> Build:
    def make(boxes: list[Mailbox]) -> DynamoMailboxes:
        pool.put_many(boxes)
        return pool

    return make


def test_planning_and_dispatch_read_what_they_need_of_it(pool: DynamoMailboxes) -> None:
    box = new_mailbox()
    pool.put_many([box])
    pool.keep_health([kept(box)])
    (profile,) = [one for one in pool.profiles() if one.mailbox_id == box.mailbox_id]
    assert (profile.pace, profile.graduated_on) == (0.35, DAY)
    assert pool.standings([box.mailbox_id])[box.mailbox_id].held_back.startswith("slowed from")


def test_an_item_of_an_earlier_version_writes_at_full_pace(pool: DynamoMailboxes, table: Table) -> None:
    box = new_mailbox()
    item = encode_mailbox(box)
    assert not item.keys() & {"h", "q", "g", "w"}
    table.put_many([item])
    assert pool.get_many([box.mailbox_id])[box.mailbox_id] == box
    (profile,) = [one for one in pool.profiles() if one.mailbox_id == box.mailbox_id]
    assert (profile.pace, profile.graduated_on) == (1.0, None)
    assert pool.standings([box.mailbox_id])[box.mailbox_id].held_back == ""


def test_an_import_keeps_it(pool: DynamoMailboxes, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    # The line holds no secret, so nothing is sealed anew.
    secrets = KmsSecrets(make_kms_client(engine.url), "never asked")
    box = new_mailbox()
    pool.put_many([box])
    pool.keep_health([kept(box)])
    pool.keep_health([kept(box, before=record(), health=record(1))])
    again = Line(number=2, mailbox=box.model_copy(update={"display_name": "A new name"}), credentials=None)
    assert import_mailboxes([again], pool, secrets).imported == 1
    found = pool.get_many([box.mailbox_id])[box.mailbox_id]
    assert found.display_name == "A new name"
    assert (found.pace, found.graduated_on, found.health) == (0.35, DAY, record(1))
    assert pool.keep_health([kept(box, before=record(1), health=record(2))]) == []


def test_an_item_stays_below_what_one_read_unit_carries(pool: DynamoMailboxes, table: Table) -> None:
    """Dispatch reads every mailbox at every tick: beyond 4 KB each read would cost double."""
    box = new_mailbox()
    pool.put_many([box])
    pool.keep_health([kept(box, health="x" * 2_500)])
    item = table.get(encode_mailbox_key(box.mailbox_id))
    assert item is not None
    assert sum(len(name) + len(str(value)) for name, value in item.items()) < 4_096
