"""`make e2e-mail`: a day of the warm-up in ten minutes on Postfix and Dovecot, every mail accounted for in both servers' logs.

No clock is turned: the mailboxes' send window is some minutes of today, and the settings fit that. The deployed functions
import, plan, dispatch, send and read; this program watches, and holds what was promised against what the servers wrote down.
"""

import argparse
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console

from localstack.at_terminal import for_a_person
from localstack.cloud import QUEUES, ROOT, STATE, LocalCloud
from localstack.demo import PHASES
from localstack.mail_servers.accounts import Evidence, Promise, judge
from localstack.mail_servers.arrivals import LogArrivals
from localstack.mail_servers.logs import Filed, read_dovecot, read_postfix
from localstack.mail_servers.maildirs import Stored, read_mailboxes
from localstack.mail_servers.pool import PASSWORD, Box, make_pool, write_csv
from localstack.mail_servers.servers import MailServers
from localstack.mail_servers.strangers import lay_down
from localstack.processes import LocalCloudError
from localstack.story import make_table
from localstack.warmup_demo import MAX_DAILY, RAMP_DAYS, choose_opening, run_mailtide
from localstack.warmup_demo import Box as RampBox
from localstack.warmup_demo import settings_of as demo_settings
from localstack.warmup_watch import Day, DayWatcher
from mailtide.adapters.dynamodb.clock import ServerClock
from mailtide.adapters.dynamodb.placements import DynamoPlacements
from mailtide.adapters.dynamodb.table import Table

FOLDER = STATE / "e2e-mail"
STRANGERS_EVERY = 10
"""One mailbox in so many holds other people's mail."""
LAST_VISITS_S = 240.0
"""For the visits that find the last mails."""
READ_MINUTES = 1


@dataclass(frozen=True, slots=True)
class Scenario:
    """Whose day it is."""

    pool: list[Box]
    targets: dict[str, int]
    """Address -> mails that it is to write."""
    days_of_ramp: dict[str, int]
    """By mailbox id."""
    settings: dict[str, str]
    minutes: int


def main(arguments: list[str] | None = None) -> int:
    """Live through the day. 1 with one line when a promise is not kept or something is missing, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m localstack.mail_servers.day", description=__doc__)
    parser.add_argument("--mailboxes", type=int, default=300, help="how many, 40 to 400 (default: %(default)s)")
    parser.add_argument("--minutes", type=int, default=10, help="length of the day, 4 to 30 (default: %(default)s)")
    given = parser.parse_args(arguments)
    if not (40 <= given.mailboxes <= 400 and 4 <= given.minutes <= 30):
        parser.error("--mailboxes takes 40 to 400, --minutes 4 to 30")
    return for_a_person(lambda console: _judged(_live(console, make_scenario(given.mailboxes, given.minutes))))


def _judged(promises: list[Promise]) -> int:
    broken = sum(not promise.is_kept for promise in promises)
    if broken:
        print(f"mailtide: {broken} of {len(promises)} promises were not kept; see {FOLDER}", file=sys.stderr)
    return 1 if broken else 0


def make_scenario(mailboxes: int, minutes: int) -> Scenario:
    """Mailboxes on several days of their ramps, as many users as domains."""
    pool = make_pool(mailboxes)
    ramps = [
        RampBox(box.mailbox_id, box.user_id, box.address, RAMP_DAYS[number % len(RAMP_DAYS)])
        for number, box in enumerate(pool)
    ]
    # Visits are as often as they can be, since replies wait for them. A minute is much of such a day: what has waited comes
    # together in its last ticks.
    settings = {**demo_settings(ramps, minutes, above_plan=2.0), "WarmupReadMinutes": str(READ_MINUTES)}
    return Scenario(
        pool,
        {ramp.address: ramp.target for ramp in ramps},
        {ramp.mailbox_id: ramp.ramp_day for ramp in ramps},
        settings,
        minutes,
    )


def _live(console: Console, scenario: Scenario) -> list[Promise]:
    began = time.monotonic()
    passwords = {box.address: PASSWORD for box in scenario.pool}
    with MailServers(FOLDER / "servers", passwords, junk_tenth=True) as servers:
        ports = servers.ports
        console.print(f"Postfix takes mail on port {ports.submission}, Dovecot opens mailboxes on port {ports.imap}.")
        with _cloud(console, scenario, servers.home / "tls/authority.pem") as cloud:
            opens = choose_opening(scenario.minutes)
            strangers = _strangers(servers, scenario, opens)
            _import(console, cloud, servers, scenario, opens)
            closes = opens + timedelta(minutes=scenario.minutes)
            day = Day(opens.date(), opens.timestamp(), closes.timestamp(), scenario.settings)
            with closing(LogArrivals(servers.postfix_log)) as arrivals:
                DayWatcher(cloud, arrivals, day, scenario.targets).follow(console)
            _wait_for_visits(console, servers)
            evidence = _gather(cloud, servers, scenario, strangers, opens)
    promises = judge(evidence)
    _tell(console, evidence, promises)
    console.print(f"All of it took {time.monotonic() - began:.0f} s. Nothing is left running. Files: {FOLDER}")
    return promises


@contextmanager
def _cloud(console: Console, scenario: Scenario, trust: Path) -> Iterator[LocalCloud]:
    with console.status("") as status:
        cloud = LocalCloud(
            parameters=scenario.settings, trust=trust, on_phase=lambda phase: status.update(f"{PHASES[phase]} …")
        )
        cloud.__enter__()
    try:
        taken = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in cloud.phases.items())
        console.print(f"The local cloud is up ({taken}).")
        yield cloud
    finally:
        cloud.__exit__(None, None, None)


def _strangers(
    servers: MailServers, scenario: Scenario, opens: datetime
) -> frozenset[tuple[str, str, frozenset[str], str]]:
    """Other people's mails as they stand on disk before the day."""
    addresses = [box.address for box in scenario.pool[::STRANGERS_EVERY]]
    laid = lay_down(servers.ports.imap, addresses, f"{opens:%Y%m%d}")
    found = frozenset((one.address, one.folder, one.flags, one.digest) for one in _stored(servers))
    if len(found) != laid:
        raise LocalCloudError(f"{laid} mails were laid down, and {len(found)} are there")
    return found


def _import(console: Console, cloud: LocalCloud, servers: MailServers, scenario: Scenario, opens: datetime) -> None:
    closes = opens + timedelta(minutes=scenario.minutes)
    extra = {
        mailbox_id: {
            "start_count": 3,
            "increase_by": 3,
            "max_daily": MAX_DAILY,
            "first_day": opens.date() - timedelta(days=ramp_day - 1),
            "window": f"{opens:%H:%M}-{closes:%H:%M}",
        }
        for mailbox_id, ramp_day in scenario.days_of_ramp.items()
    }
    file = FOLDER / "mailboxes.csv"
    write_csv(file, scenario.pool, servers.ports, extra)
    said = run_mailtide(cloud, "mailboxes", "import", str(file.relative_to(ROOT)))
    console.print(f"[bold]$ mailtide mailboxes import {file.relative_to(ROOT)}[/]\n{said.strip()}")


def _wait_for_visits(console: Console, servers: MailServers) -> None:
    """Until every mail that was filed has been marked as seen, or the time for that is over."""
    ends_s = time.monotonic() + LAST_VISITS_S
    while (left := _unseen(_filed(servers))) and time.monotonic() < ends_s:
        with console.status(f"{left} mails wait for a visit …"):
            time.sleep(1)


def _unseen(filed: list[Filed]) -> int:
    seen = {one.message_id for one in filed if one.action == "flag_change" and "\\Seen" in one.flags}
    return len({one.message_id for one in filed if one.program == "lmtp"} - seen)


def _filed(servers: MailServers) -> list[Filed]:
    with servers.dovecot_log.open(encoding="utf-8", errors="replace") as lines:
        return list(read_dovecot(lines))


def _stored(servers: MailServers) -> list[Stored]:
    return list(read_mailboxes(servers.dovecot.mails))


def _gather(
    cloud: LocalCloud,
    servers: MailServers,
    scenario: Scenario,
    strangers: frozenset[tuple[str, str, frozenset[str], str]],
    opens: datetime,
) -> Evidence:
    table = Table(cloud.stack.outputs["ReadsTable"], cloud.client("dynamodb"), ServerClock())
    placements = DynamoPlacements(table, retention_days=30)
    found: Counter[str] = Counter(
        placement.verdict
        for shard in range(int(scenario.settings["WarmupShards"]))
        for of_day in placements.read_shard(opens.date(), shard).values()
        for placement in of_day.placements.values()
    )
    with servers.postfix_log.open(encoding="utf-8", errors="replace") as lines:
        postfix = read_postfix(lines)
    status = json.loads(run_mailtide(cloud, "warmup", "status", "--json"))
    for log in (servers.postfix_log, servers.dovecot_log):
        shutil.copy(log, FOLDER / log.name)
    return Evidence(
        scenario.targets,
        postfix,
        _filed(servers),
        _stored(servers),
        strangers,
        ledger_sent=int(status["emails_sent_today"]),
        placed=found,
        dead_letters=sum(_waiting(cloud, name) for name in QUEUES if name.startswith("warmup")),
    )


def _waiting(cloud: LocalCloud, queue: str) -> int:
    name = "ApproximateNumberOfMessages"
    url = cloud.stack.dead_letters_url(queue)
    return int(cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def _tell(console: Console, evidence: Evidence, promises: list[Promise]) -> None:
    table = make_table(
        "What was promised", "what", "where it stands", "promised", "found", "", numbers=("promised", "found")
    )
    for one in promises:
        table.add_row(one.what, one.where, f"{one.expected:,}", f"{one.found:,}", "" if one.is_kept else "not kept")
    console.print(table)
    placed = evidence.placed
    console.print(
        f"{placed['junk']:,} of {placed.total():,} mails went to junk by the rule of one in ten. "
        f"{sum(one.action == 'flag_change' for one in evidence.dovecot):,} flags were changed.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
