"""Visits and placements on real DynamoDB servers; and what they cost."""

from datetime import date

import pytest

from mailtide.adapters.dynamodb.placements import DynamoPlacements
from mailtide.adapters.dynamodb.table import Table
from mailtide.adapters.dynamodb.visits import DynamoVisits, encode_visit_key
from mailtide.warmup.contracts import LedgerKey, day_start_ms
from mailtide.warmup.reading.contracts import FolderCursor, Placement, VisitState
from tests.integration.tables.conftest import Engine
from tests.support import dynamodb
from tests.support.reads_contract import *  # noqa: F403 - the contract's tests
from tests.support.reads_contract import NOON, full

DAY = date(2026, 11, 22)


@pytest.fixture(scope="session")
def reads_table(engine: Engine) -> str:
    return dynamodb.create_reads_table(engine.client)


@pytest.fixture
def reads(engine: Engine, reads_table: str) -> Table:
    return engine.table(reads_table)


@pytest.fixture
def visits(reads: Table) -> DynamoVisits:
    return DynamoVisits(reads, retention_days=30)


@pytest.fixture
def placements(reads: Table) -> DynamoPlacements:
    return DynamoPlacements(reads, retention_days=30)


def test_a_visit_costs_two_write_units_and_a_placement_one(
    visits: DynamoVisits, placements: DynamoPlacements, reads: Table, mailbox_id: str
) -> None:
    state = VisitState(
        mailbox_id=mailbox_id,
        cursors={"INBOX": FolderCursor(1_795_347_211, 123_456), "Junk": FolderCursor(1_795_347_212, 3_456)},
        awaited={f"2026-11-22/company-0123-box-{number:05}/{number}": NOON for number in range(6)},
        unsent=frozenset(f"2026-11-22/company-0123-box-{number:05}/{number}" for number in range(6)),
        looked_until_ms=NOON,
    )
    for token in ("t1", "t2"):
        before = reads.write_units
        assert visits.begin(mailbox_id, token, now_ms=NOON)
        assert visits.end(state, token)
        assert reads.write_units - before == 2
    key = LedgerKey(DAY, 7, mailbox_id)
    for number in range(30):
        before = reads.write_units
        placements.record(key, {number: Placement("inbox", "microsoft")})
        assert reads.write_units - before == 1


def test_items_are_forgotten_by_the_table(
    visits: DynamoVisits, placements: DynamoPlacements, reads: Table, mailbox_id: str
) -> None:
    visits.begin(mailbox_id, "t1", now_ms=NOON)
    visits.end(full(mailbox_id), "t1")
    placements.record(LedgerKey(DAY, 7, mailbox_id), {0: Placement("inbox")})
    visit = reads.get(encode_visit_key(mailbox_id))
    placed = reads.get({"p": "2026-11-22#7", "m": mailbox_id})
    assert visit is not None
    assert visit["x"] == NOON // 1000 + 30 * 86_400
    assert placed is not None
    assert placed["x"] == day_start_ms(DAY) // 1000 + 31 * 86_400
