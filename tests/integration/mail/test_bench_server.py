"""The bench's own instruments measure what they say: its mail server, its counting of units, its comparison with the ledger."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from smtplib import SMTP

import pytest

from mailtide.warmup.contracts import RoundState
from mailtide.warmup.ids import SendId, message_id
from tests.bench.warmup_counting import Counts, item_bytes
from tests.bench.warmup_throughput import Mail, TooLateError, closest_gap_s, compare, make_plan, read_mails
from tests.support.warmup_pools import DAY

ROOT = Path(__file__).resolve().parents[3]
FIRST, SECOND = SendId(DAY, "box-1", 0), SendId(DAY, "box-1", 7)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, Path, "subprocess.Popen[bytes]"]]:
    record = tmp_path / "mails.txt"
    command = [sys.executable, "-m", "tests.bench.warmup_smtp", str(record)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline()), record, process
        process.kill()


def test_the_server_notes_each_accepted_mail(server: tuple[int, Path, "subprocess.Popen[bytes]"]) -> None:
    port, record, process = server
    with SMTP("127.0.0.1", port) as client:
        client.login("box-1", "x")
        for send_id in (FIRST, SECOND):
            text = f"Subject: a\r\nMessage-ID:\r\n {message_id(send_id, 'a.example')}\r\n\r\n.\r\nMessage-ID: <no>\r\n"
            assert client.sendmail("a@a.example", "b@b.example", text) == {}
        client.mail("a@a.example")
    process.terminate()
    assert process.wait(5) == 0
    mails = read_mails(record)
    assert [mail.send_id for mail in mails] == [FIRST, SECOND]
    assert all(mail.begun_ms <= mail.accepted_ms for mail in mails)


def test_sizes_by_the_rule() -> None:
    assert item_bytes({"p": {"S": "äb"}, "n": {"N": "1795317414000"}, "b": {"B": b"12345"}}) == 4 + 1 + 6 + 6


def test_units_are_never_fewer_than_the_rule_has_them() -> None:
    counts = Counts()
    assert counts._units("UpdateItem", {"Error": {"Code": "ConditionalCheckFailedException"}}) == 1
    assert counts._units("UpdateItem", {"ConsumedCapacity": {"CapacityUnits": 1}, "Attributes": big(1_025)}) == 2
    assert counts._units("GetItem", {"Item": big(100), "ConsumedCapacity": {"CapacityUnits": 0.5}}) == 1
    assert counts._units("BatchGetItem", {"Responses": {"t": [big(10), big(5_000)]}}) == 3
    assert counts._units("Query", {"Items": [big(3_000), big(3_000)]}) == 2
    assert counts.largest_item_bytes == 1_025


def big(size: int) -> dict[str, dict[str, bytes]]:
    return {"b": {"B": bytes(size - 1)}}


def test_what_differs_is_seen() -> None:
    mails = [Mail(1_000, 1_100, FIRST), Mail(121_000, 121_100, SECOND), Mail(130_000, 130_100, SECOND)]
    ledger: dict[RoundState, set[SendId]] = {state: set() for state in RoundState}
    ledger[RoundState.SENT] = {FIRST}
    ledger[RoundState.SENT_REPLY] = {SendId(DAY, "box-2", 1)}
    found = compare(mails, ledger)
    assert (found["duplicates"], found["not_in_the_ledger"], found["not_at_the_server"]) == (1, 1, 1)
    assert closest_gap_s(mails) == 9.0


def test_the_window_ends_with_the_day() -> None:
    plan = make_plan(12_000, 10, 36_000.0)
    assert (plan.mails_a_mailbox, plan.opens_min, plan.closes_min) == (4, 602, 625)
    with pytest.raises(TooLateError):
        make_plan(12_000, 10, 86_400.0 - 1_200)
