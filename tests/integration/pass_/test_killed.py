"""A pass that is killed at any moment leaves the old schedule or the new one, whole."""

import random
import signal
import subprocess
import sys
import time
from datetime import date, datetime
from pathlib import Path

import pytest

from mailtide.machine.report import Profile
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from tests.integration.pass_.rows import execute, fingerprint, query, schedule_of

PROGRAM = """
import sys
from datetime import date, datetime
from pathlib import Path
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
rules = load_rules()
print("ready", flush=True)
run_pass(Path(sys.argv[1]), date.fromisoformat(sys.argv[2]), rules, "run-2", datetime.fromisoformat(sys.argv[3]), 2, sys.argv[4])
"""
TRIES = 6


def start(path: Path, as_of: date, started: datetime, profile: Profile) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", PROGRAM, str(path), as_of.isoformat(), started.isoformat(), profile]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("profile", ["highperf", "reliable"])
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_old_or_new(
    database: Path, tmp_path: Path, as_of: date, started: datetime, profile: Profile, sent: signal.Signals
) -> None:
    rules = load_rules()
    run_pass(database, as_of, rules, "run-1", started)
    old, day = schedule_of(database), date(2027, 3, 1)
    done = tmp_path / "done.db"
    done.write_bytes(database.read_bytes())
    began = time.monotonic()
    start(done, day, started, profile).communicate()
    duration = time.monotonic() - began
    new = schedule_of(done)
    assert new != old
    original = database.read_bytes()
    moments = random.Random(3)
    for _ in range(TRIES):
        process = start(database, day, started, profile)
        time.sleep(moments.uniform(0, duration))
        process.send_signal(sent)
        process.communicate()
        # Whoever may write rolls back a journal that was left; a reader who may not has to wait for that.
        execute(database, "SELECT count(*) FROM sqlite_schema")
        assert schedule_of(database) in (old, new)
        assert query(database, "PRAGMA integrity_check") == [("ok",)]
        if sent == signal.SIGINT:
            assert not [beside.name for beside in database.parent.iterdir() if "mailtide" in beside.name]
        for beside in database.parent.iterdir():
            beside.unlink()
        database.write_bytes(original)
    run_pass(database, day, rules, "run-3", started, 1, profile)
    assert schedule_of(database) == new
    assert fingerprint(database)[3] == ["contacts.db"]
