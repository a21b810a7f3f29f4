"""`make demo-warmup`: a day of the warm-up in a few minutes, on a cloud of your own, over real SMTP.

Nothing is simulated and no clock is turned: the mailboxes' send window is a few minutes of today, and the settings fit that
(ticks of a minute, cooldowns of seconds, limits for so many mails). The deployed functions do the rest by themselves; this
program only watches what arrives at the mail server.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from rich.console import Console

from localstack.at_terminal import for_a_person
from localstack.cloud import ROOT, STATE, LocalCloud
from localstack.demo import PHASES
from localstack.mail_sink import MailSink
from localstack.processes import LOOPBACK, LocalCloudError
from localstack.warmup_story import tell
from localstack.warmup_watch import Day, DayWatcher

FOLDER = STATE / "demo-warmup"
PASSWORD = "not a secret"
BOXES_OF_A_USER = 10
RAMP_DAYS = (1, 2, 3, 4, 4)
"""Days of the ramp, in turn: 3, 6, 9 and 12 mails."""
MAX_DAILY = 12
LEAST_LEAD_S = 20.0
"""From the import to the tick that makes the roster."""
LIMIT_ABOVE_PLAN = 1.25


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox of the demonstration."""

    mailbox_id: str
    user_id: str
    address: str
    ramp_day: int

    @property
    def target(self) -> int:
        """Mails that it is to write in the day."""
        return min(MAX_DAILY, 3 * self.ramp_day)


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration. 1 with one line when something is missing or fails, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m localstack.warmup_demo", description=__doc__)
    parser.add_argument("--mailboxes", type=int, default=200, help="how many, 40 to 400 (default: %(default)s)")
    parser.add_argument("--minutes", type=int, default=4, help="length of the day, 3 to 30 (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port of the AWS side (default: a free one)")
    given = parser.parse_args(arguments)
    if not (40 <= given.mailboxes <= 400 and 3 <= given.minutes <= 30):
        parser.error("--mailboxes takes 40 to 400, --minutes 3 to 30")
    return for_a_person(lambda console: _demonstrate(console, make_pool(given.mailboxes), given.minutes, given.port))


def make_pool(mailboxes: int) -> list[Box]:
    """Invented mailboxes, BOXES_OF_A_USER a user, on several days of their ramps."""
    pool = []
    for number in range(mailboxes):
        user, place = divmod(number, BOXES_OF_A_USER)
        name = f"box-{user + 1:02}-{place + 1:02}"
        domain = f"company-{user + 1:02}.example"
        pool.append(Box(name, f"company-{user + 1:02}", f"{name}@{domain}", RAMP_DAYS[number % len(RAMP_DAYS)]))
    return pool


def settings_of(pool: list[Box], minutes: int, *, above_plan: float = LIMIT_ABOVE_PLAN) -> dict[str, str]:
    """Parameters of template.yaml for a day that lasts `minutes`: limits so many times what is planned."""
    planned = sum(box.target for box in pool)
    of_a_user = max(sum(box.target for box in pool if box.user_id == user) for user in {box.user_id for box in pool})
    # The slots fill 92 % of the window.
    a_minute = planned / (0.92 * minutes) * above_plan
    return {
        "Warmup": "on",
        "WarmupTickMinutes": "1",
        "WarmupShards": "4",
        "WarmupMinDailyQuota": str(MAX_DAILY),
        "WarmupMailboxCooldownMinMs": "2000",
        "WarmupMailboxCooldownMaxMs": "6000",
        "WarmupReplyDelayMin": "0",
        "WarmupReplyDelayMax": "1",
        "WarmupGlobalMinuteLimit": str(round(a_minute)),
        # A tick of a minute gets a sixtieth of it.
        "WarmupGlobalHourlyLimit": str(60 * round(a_minute)),
        "WarmupUserHourlyLimit": str(round(of_a_user * 1.5)),
    }


def _demonstrate(console: Console, pool: list[Box], minutes: int, port: int) -> int:
    began = time.monotonic()
    FOLDER.mkdir(parents=True, exist_ok=True)
    settings = settings_of(pool, minutes)
    # Two things go wrong, as they would: somebody has changed a password, and somebody has left.
    locked_out, gone = pool[len(pool) // 3], pool[2 * len(pool) // 3]
    passwords = {box.address: PASSWORD for box in pool if box is not locked_out}
    with console.status("") as status, MailSink(passwords, frozenset({gone.address})) as sink:
        cloud = LocalCloud(parameters=settings, port=port, on_phase=lambda phase: status.update(f"{PHASES[phase]} …"))
        with cloud:
            seconds = ", ".join(f"{name} {taken:.1f} s" for name, taken in cloud.phases.items())
            console.print(f"The local cloud is up ({seconds}) on {cloud.endpoint_url}; mail goes to port {sink.port}.")
            status.update("waiting for a whole minute …")
            opens = choose_opening(minutes)
            closes = opens + timedelta(minutes=minutes)
            file = FOLDER / "mailboxes.csv"
            _write(file, pool, sink.port, opens, closes)
            _import(console, cloud, file)
            console.print(_explain(opens, closes, settings, locked_out, gone))
            status.stop()
            day = Day(opens.date(), opens.timestamp(), closes.timestamp(), settings)
            watcher = DayWatcher(cloud, sink, day, {box.address: box.target for box in pool})
            watcher.follow(console)
            facts = watcher.facts()
            measured = _status(cloud)
    tell(console, facts, measured)
    _what_next(console, file)
    console.print(f"All of it took {time.monotonic() - began:.0f} s. Nothing is left running.")
    return 0


def choose_opening(minutes: int) -> datetime:
    """The next whole minute that leaves time for the import, on a UTC day that does not end before the window does."""
    now = datetime.now(UTC)
    left_s = 86_400 - (now.hour * 3_600 + now.minute * 60 + now.second)
    if left_s < (minutes + 3) * 60:
        time.sleep(left_s + 2)
    lead_s = 60 - time.time() % 60
    if lead_s < LEAST_LEAD_S:
        # The tick of this minute must not find half of the mailboxes.
        time.sleep(lead_s + 3)
    now = datetime.now(UTC)
    return now.replace(second=0, microsecond=0) + timedelta(minutes=1)


def _write(file: Path, pool: list[Box], port: int, opens: datetime, closes: datetime) -> None:
    today: date = opens.date()
    with file.open("w", encoding="utf-8", newline="") as text:
        lines = csv.writer(text)
        lines.writerow(
            [
                *("mailbox_id", "user_id", "address", "display_name", "smtp_host", "smtp_port", "smtp_security"),
                *("password", "start_count", "increase_by", "max_daily", "first_day", "window"),
            ]
        )
        for box in pool:
            first_day = today - timedelta(days=box.ramp_day - 1)
            name = f"Somebody of {box.user_id}"
            window = f"{opens:%H:%M}-{closes:%H:%M}"
            lines.writerow(
                [
                    *(box.mailbox_id, box.user_id, box.address, name, LOOPBACK, port, "none"),
                    *(PASSWORD, 3, 3, MAX_DAILY, first_day, window),
                ]
            )


def _import(console: Console, cloud: LocalCloud, file: Path) -> None:
    said = run_mailtide(cloud, "mailboxes", "import", str(file.relative_to(ROOT)))
    console.print(f"[bold]$ mailtide mailboxes import {file.relative_to(ROOT)}[/]\n{said.strip()}")


def _status(cloud: LocalCloud) -> dict[str, object]:
    found: dict[str, object] = json.loads(run_mailtide(cloud, "warmup", "status", "--json"))
    return found


def run_mailtide(cloud: LocalCloud, *arguments: str) -> str:
    """What the command says, as anybody would call it."""
    command = [str(ROOT / ".venv/bin/mailtide"), *arguments]
    env = {"PATH": "/usr/bin:/bin", **cloud.environment}
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise LocalCloudError(f"mailtide {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _explain(opens: datetime, closes: datetime, settings: dict[str, str], locked_out: Box, gone: Box) -> str:
    a_minute, an_hour = (int(settings[f"WarmupGlobal{span}Limit"]) for span in ("Minute", "Hourly"))
    return (
        f"\n[bold]A day of {(closes - opens).seconds // 60} minutes.[/] No clock is turned: these mailboxes write from "
        f"{opens:%H:%M} to {closes:%H:%M} UTC only; due mails are dispatched\nevery minute instead of every ten, and the "
        "cooldown of a mailbox is 2 to 6 s instead of 2 to 5 min. Limits: "
        f"{a_minute:,} mails\na minute, {an_hour:,} an hour, {settings['WarmupUserHourlyLimit']} an hour of one user. "
        f"The server refuses the password of {locked_out.mailbox_id}, and knows no\n{gone.mailbox_id}. "
        "From here on, this only watches what arrives:\n"
    )


def _what_next(console: Console, file: Path) -> None:
    console.print(f"""[bold]Files[/]
  {file.relative_to(ROOT)}     the mailboxes as they were imported
  {(STATE / "logs").relative_to(ROOT)}/                             logs of the local cloud

[bold]What to try next[/]
  make demo-warmup MAILBOXES=400 MINUTES=6        more mailboxes, a longer day
  .venv/bin/mailtide warmup capacity              what 100,000 mailboxes need, and what that costs
  .venv/bin/mailtide warmup simulate --users 100  a whole day of 10,000 mailboxes, on a virtual clock
  make cloud                                      the same cloud, kept up for your own mailboxes
  less docs/warmup.md
""")


if __name__ == "__main__":
    sys.exit(main())
