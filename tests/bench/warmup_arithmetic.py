"""What `mailtide warmup capacity` and `mailtide warmup simulate` answer, as commands."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

MAILTIDE = str(Path(sys.executable).with_name("mailtide"))
OLD_SETTINGS = {
    "1 worker, 100 every 15 minutes": ((1, 15, 100), (9_600, 320)),
    "100 workers, 200 every 10 minutes": ((100, 10, 200), (2_880_000, 96_000)),
    "50 workers, 500 every 8 minutes": ((50, 8, 500), (4_500_000, 150_000)),
}
"""(workers, minutes between two runs, mails of a run) -> mails a day and mailboxes, as the origin's documents have them."""


def worker_modes() -> dict[str, Any]:
    """The old settings by `simulate` and by `capacity`: mails and mailboxes of a day that was lived through, and whether both are
    what the origin says. One mailbox more must be too many."""
    found = {}
    for name, ((workers, interval, batch), expected) in OLD_SETTINGS.items():
        mode = ("--workers", workers, "--interval", interval, "--batch", batch)
        facts = _ask("capacity", *mode)
        computed = (facts["worker_mode_mails_a_day"], facts["worker_mode_mailboxes"])
        day = _ask("simulate", *mode, "--users", 1, "--mailboxes", expected[1])
        beyond = _ask("simulate", *mode, "--users", 1, "--mailboxes", expected[1] + 1, quiet=True)
        found[name] = {
            "mails_a_day": day["sent"],
            "mailboxes": day["quotas_met"],
            "as_expected": (day["sent"], day["quotas_met"]) == computed == expected and beyond["quotas_missed"] > 0,
        }
    return found


def yardstick_costs() -> dict[str, Any]:
    """`capacity` of the yardstick, as it is by default."""
    return _ask("capacity")


def simulate(users: int) -> dict[str, Any]:
    """A simulated day of so many users of 100 mailboxes, under limits in proportion to the yardstick's 1,000 users."""
    share = users / 1_000
    settings = {
        "WARMUP_GLOBAL_MINUTE_LIMIT": str(int(2_500 * share)),
        "WARMUP_GLOBAL_HOURLY_LIMIT": str(int(150_000 * share)),
        "WARMUP_SHARDS": str(max(1, int(100 * share))),
    }
    begun_s, begun_cpu_s = time.monotonic(), os.times().children_user
    facts = _ask("simulate", "--users", users, environment=settings)
    facts["seconds"] = round(time.monotonic() - begun_s, 1)
    facts["cpu_s"] = round(os.times().children_user - begun_cpu_s, 1)
    return facts


def _ask(
    command: str, *options: object, environment: dict[str, str] | None = None, quiet: bool = False
) -> dict[str, Any]:
    """The command's JSON. Exit code 1 of `simulate` (it names faults, unless it is to be quiet) is an answer too."""
    names = {name: value for name, value in os.environ.items() if not name.startswith("WARMUP_")}
    done = subprocess.run(
        [MAILTIDE, "warmup", command, "--json", *map(str, options)],
        env=names | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if quiet else None,
        text=True,
        check=False,
    )
    if not done.stdout:
        raise SystemExit(f"mailtide warmup {command} has failed")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
