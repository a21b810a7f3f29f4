"""The ledger on DynamoDB: its contract, races, sizes and write units."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from mailtide.adapters.dynamodb.ledger import DynamoLedger, decode_item, encode_item, encode_key
from mailtide.adapters.dynamodb.table import Item, Table
from mailtide.contracts import new_token
from mailtide.warmup.contracts import DAY_MS, LedgerKey, RoundState, day_start_ms
from mailtide.warmup.ledger import LedgerItem, RoundEntry
from mailtide.warmup.outcomes import OutcomeWindow
from mailtide.warmup.ports import CLAIM_TTL_MS, Claim
from tests.support.ledger_contract import *  # noqa: F403 - the contract's tests and fixtures
from tests.support.ledger_contract import COOLDOWN, DAY, NOON, START, begun, counts, fresh, seen, take


def test_one_of_32_threads_gets_the_round(ledger: DynamoLedger, key: LedgerKey, threads: ThreadPoolExecutor) -> None:
    answers = list(threads.map(lambda _: take(ledger, fresh(key)), range(64)))
    assert sum(answer.outcome == "held" for answer in answers) == 1
    assert {answer.reason for answer in answers} == {"", "busy"}
    assert counts(seen(ledger, key)) == (0, 0, 0, 1)


def test_the_target_holds_under_32_threads(ledger: DynamoLedger, key: LedgerKey, threads: ThreadPoolExecutor) -> None:
    answers = list(threads.map(lambda number: take(ledger, fresh(key, number), cooldown=0, target=9), range(64)))
    assert sum(answer.outcome == "held" for answer in answers) == 9
    assert {answer.reason for answer in answers} == {"", "quota"}


def test_one_of_32_threads_takes_over(ledger: DynamoLedger, key: LedgerKey, threads: ThreadPoolExecutor) -> None:
    take(ledger, fresh(key))
    claims = [fresh(key) for _ in range(32)]
    now = NOON + CLAIM_TTL_MS
    answers = list(threads.map(lambda claim: take(ledger, claim, now=now), claims))
    assert sum(answer.taken_over for answer in answers) == 1
    begins = list(threads.map(lambda claim: ledger.begin_data(claim, now_ms=now, next_ok_ms=now + 1), claims))
    assert begins == [answer.taken_over for answer in answers]


def test_rounds_end_side_by_side(ledger: DynamoLedger, key: LedgerKey, threads: ThreadPoolExecutor) -> None:
    claims = [fresh(key, number) for number in range(8)]
    for claim in claims:
        take(ledger, claim, cooldown=0, target=9)
        assert ledger.begin_data(claim, now_ms=NOON + 1, next_ok_ms=0)
    assert all(threads.map(lambda claim: ledger.finish(claim, "sent", mark="accepted"), claims))
    view = seen(ledger, key)
    assert (counts(view), view.recent) == ((8, 0, 0, 0), 8)


def test_two_processes_share_nothing_but_the_table(table: Table, key: LedgerKey) -> None:
    one, two = DynamoLedger(table, retention_days=1), DynamoLedger(table, retention_days=1)
    claim = fresh(key)
    assert take(one, claim).outcome == "held"
    assert two.begin_data(claim, now_ms=NOON, next_ok_ms=NOON + COOLDOWN)
    assert one.begin_data(claim, now_ms=NOON, next_ok_ms=NOON + COOLDOWN)
    assert two.finish(claim, "unknown")
    assert one.finish(claim, "sent")
    assert not two.finish(claim, "failed")
    assert counts(seen(two, key)) == (1, 0, 0, 0)


def test_a_mail_costs_three_write_units(table: Table, key: LedgerKey) -> None:
    ledger = DynamoLedger(table, retention_days=30)
    for number in range(30):
        before = table.write_units
        claim = begun(ledger, key, number, now=NOON + number * 300_000, target=30)
        assert ledger.finish(claim, "sent", mark="accepted")
        assert table.write_units - before == 3


def test_the_item_expires_after_the_retention(table: Table, key: LedgerKey) -> None:
    take(DynamoLedger(table, retention_days=30), fresh(key))
    item = table.get(encode_key(key))
    assert item is not None
    assert item["x"] == (START + 31 * DAY_MS) // 1000


def size_bytes(item: Item) -> int:
    """By DynamoDB's own rules: names and text in UTF-8, numbers one byte for two digits and one more."""
    total = 0
    for name, value in item.items():
        total += len(name)
        total += len(str(value)) // 2 + 2 if isinstance(value, int) else len(value)
    return total


@pytest.mark.parametrize("rounds", [30, 60])
def test_a_full_day_stays_below_1_kb(rounds: int) -> None:
    key = LedgerKey(date(2026, 11, 21), 10_000, "m" * 64)
    token = new_token()[:12]
    now = day_start_ms(key.day) + DAY_MS
    item = LedgerItem(
        key=key,
        target=rounds,
        used=rounds,
        sent=rounds,
        unknown=rounds,
        next_ok_ms=now,
        rounds={
            number: RoundEntry(RoundState.DATA, token, now, now) if number < 3 else RoundEntry(RoundState.SENT, token)
            for number in range(rounds)
        },
        tries=dict.fromkeys(range(5), 3),
        window=OutcomeWindow(100, 2**100 - 1, 2**100 - 1),
        closed=True,
    )
    packed = encode_key(key) | encode_item(item) | {"x": now // 1000}
    assert decode_item(key, packed) == item
    assert size_bytes(packed) <= 1_024


def test_a_claim_is_held_by_a_lost_answer(ledger: DynamoLedger, key: LedgerKey) -> None:
    claim = Claim(key, 0, new_token())
    assert take(ledger, claim).outcome == "held"
    assert take(ledger, claim, now=NOON + 3, cooldown=1).next_ok_ms == NOON + COOLDOWN
    assert key.day == DAY
