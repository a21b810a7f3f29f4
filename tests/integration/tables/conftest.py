"""The warm-up's tables on real servers, and the contract's ledgers: in memory by the pure rules, and DynamoDB."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pytest

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.ledger import DynamoLedger
from mailtide.adapters.dynamodb.table import Table
from mailtide.warmup.contracts import LedgerKey
from tests.support import dynamodb

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DAY = date(2026, 11, 21)
KEY = LedgerKey(DAY, 7, "box-1")


@dataclass(frozen=True)
class Engine:
    """A DynamoDB server."""

    name: str
    url: str
    client: "DynamoDBClient"

    def table(self, name: str) -> Table:
        return Table(name, self.client, ServerClock())


@pytest.fixture(scope="session", params=dynamodb.ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    name: str = request.param
    if not dynamodb.is_installed(name):
        if name == "ministack":
            pytest.fail("MiniStack is not set up; run: make setup")
        pytest.skip("dynalite is not set up: it needs Node.js with npm")
    with dynamodb.serving(name, tmp_path_factory.mktemp(name)) as url:
        yield Engine(name, url, dynamodb.client_of(url))


@pytest.fixture(scope="session")
def ledger_table(engine: Engine) -> str:
    return dynamodb.create_ledger_table(engine.client)


@pytest.fixture
def table(engine: Engine, ledger_table: str) -> Table:
    return engine.table(ledger_table)


@pytest.fixture
def ledger(table: Table) -> DynamoLedger:
    return DynamoLedger(table, retention_days=30)


@pytest.fixture(scope="session")
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool
