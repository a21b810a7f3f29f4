"""A day of the warm-up while it happens: what arrives at the mail server, minute by minute."""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from localstack.cloud import LocalCloud
from localstack.mail_sink import Arrived
from localstack.processes import LocalCloudError
from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.ledger import DynamoLedger
from mailtide.adapters.dynamodb.mailboxes import DynamoMailboxes
from mailtide.adapters.dynamodb.table import Table
from mailtide.adapters.s3 import S3Bucket
from mailtide.warmup import keys
from mailtide.warmup.contracts import Mailbox
from mailtide.warmup.days import RosterStore
from mailtide.warmup.objects import QuotaRow, RosterHeader, ShardSummary
from mailtide.warmup.queries import quota_rows
from mailtide.warmup.store import read

POLL_S = 0.25
LINE_EVERY_S = 10.0
ROSTER_TIMEOUT_S = 90.0
SETTLE_S = 30.0
"""After the window: its last mails may take a token of the next half minute."""
END_TIMEOUT_S = 150.0


@dataclass(frozen=True, slots=True)
class Day:
    """The compressed day."""

    day: date
    opens_s: float
    closes_s: float
    settings: Mapping[str, str]

    @property
    def minute_limit(self) -> int:
        """Mails a minute, system-wide."""
        return int(self.settings["WarmupGlobalMinuteLimit"])


class Arrivals(Protocol):
    """A mail server's records, such as MailSink's."""

    @property
    def arrived(self) -> list[Arrived]:
        """In the order of arrival; appended to while it runs."""

    @property
    def refused(self) -> Counter[str]:
        """Replies that were not yes, by their code."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a day came to."""

    day: Day
    header: RosterHeader
    arrived: list[Arrived]
    refused: Counter[str]
    rows: list[QuotaRow]
    mailboxes: dict[str, Mailbox]


class DayWatcher:
    """Reads the mail server's records and the bucket; it changes nothing."""

    def __init__(self, cloud: LocalCloud, sink: Arrivals, day: Day, targets: Mapping[str, int]) -> None:
        """targets: address -> mails that it is to write."""
        self._sink = sink
        self._day = day
        self._targets = targets
        self._bucket = S3Bucket(cloud.stack.bucket, cloud.client("s3"))
        self._rosters = RosterStore(self._bucket)
        client = cloud.client("dynamodb")
        self._mailboxes = DynamoMailboxes(Table(cloud.stack.outputs["MailboxesTable"], client, ServerClock()))
        self._ledger = DynamoLedger(Table(cloud.stack.outputs["LedgerTable"], client, ServerClock()), retention_days=30)

    def follow(self, console: Console) -> None:
        """Show the day until it is over and counted."""
        header = self._wait_for_roster(console)
        console.print(
            f"[dim]{_clock(time.time())}[/]  roster: {header.mailboxes} mailboxes, {header.planned:,} mails planned; "
            f"pairing: {header.case_note}"
        )
        bars = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(40),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        with bars:
            tasks = self._make_bars(bars, header)
            next_line_s = time.time() + LINE_EVERY_S
            while not self._is_over(header):
                self._update(bars, tasks)
                if time.time() >= next_line_s:
                    next_line_s += LINE_EVERY_S
                    console.print(self._line(header))
                time.sleep(POLL_S)
        console.print(self._line(header))

    def facts(self) -> Facts:
        """Everything that can be said afterwards."""
        header = self._rosters.header(self._day.day)
        if header is None:
            raise LocalCloudError("the day has no roster")
        rows = list(quota_rows(self._bucket, self._day.day))
        mailboxes = self._mailboxes.get_many(row.mailbox_id for row in rows)
        return Facts(self._day, header, list(self._sink.arrived), self._sink.refused, rows, mailboxes)

    def _wait_for_roster(self, console: Console) -> RosterHeader:
        with console.status(f"the first tick is at {_clock(self._day.opens_s)[:5]} …"):
            ends_s = self._day.opens_s + ROSTER_TIMEOUT_S
            while time.time() < ends_s:
                if time.time() > self._day.opens_s and (header := self._rosters.header(self._day.day)) is not None:
                    return header
                time.sleep(POLL_S)
        raise LocalCloudError("no tick has planned the day (the logs are in .local/logs)")

    def _is_over(self, header: RosterHeader) -> bool:
        """Whether a tick after the window has counted every shard, and with that every mail that has arrived."""
        now_s, closes_ms = time.time(), self._day.closes_s * 1000
        if now_s < self._day.closes_s + SETTLE_S:
            return False
        if now_s > self._day.closes_s + END_TIMEOUT_S:
            raise LocalCloudError("the last tick has not come (the logs are in .local/logs)")
        found = [read(self._bucket, keys.summary(self._day.day, shard), ShardSummary) for shard in range(header.shards)]
        last = [summary for summary in found if summary is not None and summary.tick_ms >= closes_ms]
        return len(last) == header.shards and sum(summary.sent for summary in last) >= len(self._sink.arrived)

    def _make_bars(self, bars: Progress, header: RosterHeader) -> dict[int, TaskID]:
        """One bar for all, and one for each quota."""
        tasks = {0: bars.add_task("all mails", total=header.planned, note="")}
        for target, count in sorted(Counter(self._targets.values()).items()):
            tasks[target] = bars.add_task(f"quota of {target} a day", total=count * target, note="")
        return tasks

    def _update(self, bars: Progress, tasks: dict[int, TaskID]) -> None:
        by_sender = Counter(mail.sender for mail in list(self._sink.arrived))
        full: Counter[int] = Counter()
        sent: Counter[int] = Counter()
        for address, target in self._targets.items():
            sent[target] += by_sender[address]
            full[target] += by_sender[address] >= target
        for target, task in tasks.items():
            if target:
                boxes = sum(each == target for each in self._targets.values())
                bars.update(task, completed=sent[target], note=f"{full[target]} of {boxes} mailboxes done")
        bars.update(tasks[0], completed=sum(by_sender.values()), note=self._this_minute())

    def _this_minute(self) -> str:
        count = self._since(time.time() // 60 * 60)
        return f"{count} of at most {self._day.minute_limit} in this minute"

    def _since(self, moment_s: float) -> int:
        arrived = self._sink.arrived
        return len(arrived) - bisect_left(arrived, moment_s, key=lambda mail: mail.at_s)

    def _line(self, header: RosterHeader) -> str:
        arrived = list(self._sink.arrived)
        by_sender = Counter(mail.sender for mail in arrived)
        done = sum(by_sender[address] >= target for address, target in self._targets.items())
        return (
            f"[dim]{_clock(time.time())}[/]  {len(arrived):5,} of {header.planned:,} mails, {self._this_minute():<36}"
            f"{done:4} of {len(self._targets)} quotas full"
        )


def _clock(moment_s: float) -> str:
    return f"{datetime.fromtimestamp(moment_s, UTC):%H:%M:%S}"
