"""Mails a second through real processes: planner, dispatcher and senders on MiniStack, over SMTP to the bench's own server.

The mailboxes' send window begins at the next minutes of today and is as long as their mails need at the yardstick's planned rate
(3,000,000 mails over 92 % of a day: one mail a mailbox every 317 s for 12,000). All settings are the defaults, but for the tick,
the number of shards and the mails of a day.
"""

import os
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import ceil
from pathlib import Path
from typing import Any

from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.ledger import DynamoLedger
from mailtide.adapters.dynamodb.table import Table
from mailtide.warmup.contracts import RoundState, SendWindow
from mailtide.warmup.ids import SendId, parse_message_id
from mailtide.warmup.settings import WarmupSettings
from tests.bench.warmup_site import Site, site, wait_until
from tests.support import dynamodb

MAILBOXES_OF_A_SHARD = 1_000
GAP_S = 317
"""Between two slots of a mailbox: 12,000 of them plan 37.9 mails a second, the yardstick 37.7."""
SLOT_SHARE = 0.92
LEAST_MAILS = 4
LEAD_S = 25.0
"""From the start of the workers to the opening of the window."""
IMPORT_S = 60.0
SETTLE_S = 60
"""After the opening, before the measured minutes begin."""


@dataclass(frozen=True, slots=True)
class Mail:
    """One that the server accepted."""

    begun_ms: int
    accepted_ms: int
    send_id: SendId


@dataclass(frozen=True, slots=True)
class Plan:
    """When what happens, in whole minutes of a UTC day."""

    mailboxes: int
    minutes: int
    mails_a_mailbox: int
    day_start_s: float
    opens_min: int
    closes_min: int

    @property
    def measured_s(self) -> tuple[float, float]:
        """[start, end) of what counts."""
        start = self.day_start_s + self.opens_min * 60 + SETTLE_S
        return start, start + 60 * self.minutes


class TooLateError(Exception):
    """The day has not enough minutes left."""


def make_plan(mailboxes: int, minutes: int, now_s: float) -> Plan:
    """A window from the next minutes on. TooLateError when it would not end on this UTC day."""
    mails = max(LEAST_MAILS, ceil((60 * minutes + 2 * SETTLE_S) / GAP_S))
    opens_min = int((now_s + IMPORT_S + LEAD_S) % 86_400 // 60) + 1
    closes_min = opens_min + ceil(mails * GAP_S / SLOT_SHARE / 60)
    if closes_min > 1_440:
        raise TooLateError("The UTC day is nearly over; start again after 00:00 UTC.")
    return Plan(mailboxes, minutes, mails, now_s // 86_400 * 86_400, opens_min, closes_min)


def measure(folder: Path, *, mailboxes: int, minutes: int, senders: int) -> dict[str, Any]:
    """Run it and take the figures. TooLateError."""
    plan = make_plan(mailboxes, minutes, time.time())
    settings = {
        "WARMUP_TICK_MINUTES": "1",
        "WARMUP_SHARDS": str(max(1, mailboxes // MAILBOXES_OF_A_SHARD)),
        "WARMUP_MIN_DAILY_QUOTA": str(plan.mails_a_mailbox),
    }
    with site(folder, settings) as made:
        port, record = made.start_mail_server()
        window = SendWindow(opens_min=plan.opens_min, closes_min=plan.closes_min)
        made.add_mailboxes(mailboxes, port, window, plan.mails_a_mailbox)
        workers = _start_workers(made, plan, senders)
        start_s, end_s = plan.measured_s
        wait_until(start_s)
        cpu, load = made.cpu(), [os.getloadavg()[0]]
        wait_until(end_s)
        load.append(os.getloadavg()[0])
        used = {name: seconds - cpu[name] for name, seconds in made.cpu().items()}
        made.stop(workers)
        made.stop(["mail server"])
        mails = read_mails(record)
        return {
            **facts(plan, mails, WarmupSettings()),
            **compare(mails, ledger_ids(made, int(settings["WARMUP_SHARDS"]))),
            **costs([made.counts(name) for name in workers], len(mails)),
            "cpu_s": {name: round(seconds, 2) for name, seconds in used.items()},
            "load_average": load,
            "senders": senders,
        }


def _start_workers(made: Site, plan: Plan, senders: int) -> list[str]:
    opens_s = plan.day_start_s + 60 * plan.opens_min
    if time.time() > opens_s - LEAD_S:
        raise TooLateError("The import took too long; the machine is too busy for this bench.")
    wait_until(opens_s - LEAD_S)
    return [
        *(made.start_worker("send", number + 1) for number in range(senders)),
        made.start_worker("dispatch"),
        made.start_worker("plan"),
    ]


def read_mails(record: Path) -> list[Mail]:
    """In the order of acceptance. ValueError for a Message-ID that is not ours."""
    mails = []
    for line in record.read_text(encoding="ascii").splitlines():
        begun, accepted, message_id = line.split(" ", 2)
        send_id = parse_message_id(message_id)
        if send_id is None:
            raise ValueError(f"no Message-ID of ours: {message_id}")
        mails.append(Mail(int(begun), int(accepted), send_id))
    return mails


def facts(plan: Plan, mails: list[Mail], settings: WarmupSettings) -> dict[str, Any]:
    """Rate, peaks and gaps, as the mail server saw them."""
    start_s, end_s = plan.measured_s
    inside = [mail for mail in mails if start_s * 1000 <= mail.accepted_ms < end_s * 1000]
    by_minute = Counter(mail.accepted_ms // 60_000 - int(start_s // 60) for mail in inside)
    return {
        "mailboxes": plan.mailboxes,
        "minutes": plan.minutes,
        "accepted": len(mails),
        "accepted_in_the_measured_minutes": len(inside),
        "mails_per_second": round(len(inside) / (end_s - start_s), 2),
        "by_minute": [by_minute[minute] for minute in range(plan.minutes)],
        "peak_half_minute": _peak(mails, 30_000),
        "peak_minute": _peak(mails, 60_000),
        "minute_limit": settings.global_minute_limit,
        "peak_hour": _peak(mails, 3_600_000),
        "hour_limit": settings.global_hourly_limit,
        "closest_gap_s": closest_gap_s(mails),
        "cooldown_min_s": settings.mailbox_cooldown_min_ms / 1000,
    }


def _peak(mails: Iterable[Mail], window_ms: int) -> int:
    """Most starts in an aligned window."""
    return max(Counter(mail.begun_ms // window_ms for mail in mails).values(), default=0)


def closest_gap_s(mails: Iterable[Mail]) -> float | None:
    """Between two starts of one mailbox."""
    last: dict[str, int] = {}
    gaps = []
    for mail in sorted(mails, key=lambda mail: mail.begun_ms):
        before = last.get(mail.send_id.mailbox_id)
        if before is not None:
            gaps.append(mail.begun_ms - before)
        last[mail.send_id.mailbox_id] = mail.begun_ms
    return min(gaps) / 1000 if gaps else None


def ledger_ids(made: Site, shards: int) -> dict[RoundState, set[SendId]]:
    """What the ledger says of today, by state."""
    client = dynamodb.client_of(made.url)
    ledger = DynamoLedger(Table(made.tables["ledger"], client, ServerClock()), retention_days=30)
    today: date = datetime.now(UTC).date()
    found: dict[RoundState, set[SendId]] = {state: set() for state in RoundState}
    for shard in range(shards):
        for mailbox_id, view in ledger.read_shard(today, shard).items():
            for number, letter in enumerate(view.states):
                found[RoundState(letter)].add(SendId(today, mailbox_id, number))
    return found


def compare(mails: list[Mail], ledger: dict[RoundState, set[SendId]]) -> dict[str, Any]:
    """The server's Message-IDs against the ledger's sent rounds."""
    times = Counter(mail.send_id for mail in mails)
    sent = ledger[RoundState.SENT] | ledger[RoundState.SENT_REPLY]
    return {
        "duplicates": sum(times.values()) - len(times),
        "sent_by_the_ledger": len(sent),
        "replies": len(ledger[RoundState.SENT_REPLY]),
        "not_in_the_ledger": len(times.keys() - sent),
        "not_at_the_server": len(sent - times.keys()),
        "unknown": len(ledger[RoundState.UNKNOWN]),
        "in_flight": len(ledger[RoundState.SENDING] | ledger[RoundState.DATA]),
        "failed": len(ledger[RoundState.FAILED]),
    }


def costs(counted: list[dict[str, Any]], mails: int) -> dict[str, Any]:
    """Requests and units of all workers together, over the whole run."""
    requests: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    units: Counter[str] = Counter()
    for one in counted:
        requests.update(one["requests"])
        refused.update(one["refused"])
        units.update(one["units"])
    writes = sum(count for operation, count in units.items() if operation not in {"GetItem", "BatchGetItem", "Query"})
    return {
        "requests": dict(requests),
        "refused": dict(refused),
        "write_units": writes,
        "write_units_per_mail": round(writes / mails, 3) if mails else None,
        "read_units_per_mail": round((sum(units.values()) - writes) / mails, 3) if mails else None,
        "scans": requests["dynamodb Scan"],
        "largest_item_bytes": max(one["largest_item_bytes"] for one in counted),
    }
