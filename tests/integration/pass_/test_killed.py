"""A pass that is killed at any moment leaves the old schedule or the new one, whole."""

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

import apsw
import pytest

from mailtide.database import replace
from mailtide.database.locked import locked_file
from mailtide.database.replace import change_in_place
from mailtide.machine.report import Profile
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from tests.integration.pass_.rows import execute, fingerprint, query, schedule_of
from tests.support import forkserver

TRIES = 6


def main() -> None:
    """The process that is killed: the pass, after it has said that it begins."""
    path, as_of, started = sys.argv[1:4]
    profile: Profile = "reliable" if sys.argv[4] == "reliable" else "highperf"
    rules = load_rules()
    print("ready", flush=True)
    run_pass(Path(path), date.fromisoformat(as_of), rules, "run-2", datetime.fromisoformat(started), 2, profile)


def start(path: Path, as_of: date, started: datetime, profile: Profile, log: Path) -> forkserver.Started:
    """That process, when it is about to begin with the pass."""
    log.unlink(missing_ok=True)
    arguments = (path, as_of.isoformat(), started.isoformat(), profile)
    process = forkserver.Started(*arguments, call=f"{__name__}:main", env={"PATH": os.defpath}, log=log)
    while not log.exists() or not log.read_text():
        assert process.poll() is None, "it ended at once"
        time.sleep(0.002)
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
    log = tmp_path / "log"
    process = start(done, day, started, profile, log)
    began = time.monotonic()
    assert process.wait(60) == 0, log.read_text()
    duration = time.monotonic() - began
    new = schedule_of(done)
    assert new != old
    original = database.read_bytes()
    moments = random.Random(3)
    for _ in range(TRIES):
        process = start(database, day, started, profile, log)
        time.sleep(moments.uniform(0, duration))
        os.kill(process.pid, sent)
        process.wait(60)
        # Whoever may write rolls back a journal that was left; a reader who may not has to wait for that.
        execute(database, "SELECT count(*) FROM sqlite_schema")
        assert schedule_of(database) in (old, new)
        assert query(database, "PRAGMA integrity_check") == [("ok",)]
        if sent == signal.SIGINT:
            assert not [beside.name for beside in database.parent.iterdir() if "mailtide" in beside.name], (
                log.read_text()
            )
        for beside in database.parent.iterdir():
            beside.unlink()
        database.write_bytes(original)
    run_pass(database, day, rules, "run-3", started, 1, profile)
    assert schedule_of(database) == new
    assert fingerprint(database)[3] == ["contacts.db"]


def test_an_interrupt_just_after_the_commit_leaves_the_new_one_whole(database: Path) -> None:
    """In the hook that the library calls when the commit is done: what the WAL holds decides what stands, not how it ended."""

    def interrupted(_: apsw.Connection, __: str, ___: int) -> int:
        raise KeyboardInterrupt

    def write(connection: apsw.Connection) -> None:
        connection.set_wal_hook(interrupted)
        connection.execute("CREATE TABLE email_schedules AS SELECT *, hex(randomblob(5000)) AS filled FROM contacts")

    size_bytes = database.stat().st_size
    with locked_file(database) as locked, pytest.raises(KeyboardInterrupt):
        change_in_place(locked, write)
    assert database.stat().st_size > size_bytes
    assert query(database, "PRAGMA integrity_check") == [("ok",)]
    assert query(database, "SELECT count(*) FROM email_schedules") == query(database, "SELECT count(*) FROM contacts")


@pytest.mark.parametrize("moment", ["start", "join"])
def test_an_interrupt_leaves_no_copy(database: Path, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the main thread waits for the other to start, or to have removed the copy."""
    threads: list[threading.Thread] = []

    class Interrupted(threading.Thread):
        def start(self) -> None:
            threads.append(self)
            super().start()
            if moment == "start":
                _until(lambda: len(list(database.parent.iterdir())) == 2)
                raise KeyboardInterrupt

        def is_alive(self) -> bool:
            # What waits for the start says it, and that was interrupted.
            return moment != "start" and super().is_alive()

        def join(self, timeout: float | None = None) -> None:
            if moment == "join" and threading.current_thread() is threading.main_thread() and threads:
                threads.clear()
                raise KeyboardInterrupt
            super().join(timeout)

    monkeypatch.setattr(threading, "Thread", Interrupted)
    with locked_file(database) as locked:
        with pytest.raises(KeyboardInterrupt), replace.copy_beside(locked) as copy:
            assert copy.finished()[0].exists()
        # An ending process waits for its threads.
        assert _until(lambda: len(list(database.parent.iterdir())) == 1)


def _until(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.005)
    return is_so()
