"""`mailtide machine` on chunks and a merge, killed in the middle and tried again."""

import signal
import time
from pathlib import Path

from mailtide.contracts import TaskKind
from tests.integration.machine.cut_run import CutRun
from tests.integration.machine.fault_bucket import FaultBucket
from tests.integration.machine.tasks import SOURCE, database
from tests.integration.machine.test_process import run, start


def killed_while_it_fetches(bucket: FaultBucket, url: str, home: Path) -> None:
    """Start the machine, and kill -9 it when the bucket has stalled in the middle of the source."""
    before = len(bucket.of("GET", SOURCE))
    bucket.fail("GET", SOURCE, "stall", at=10_000)
    process = start(url, home=home)
    deadline_s = time.monotonic() + 30
    while len(bucket.of("GET", SOURCE)) == before and time.monotonic() < deadline_s:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL


def test_machines_that_are_killed_leave_nothing_that_counts(bucket: FaultBucket, tmp_path: Path) -> None:
    cut = CutRun(bucket, database(tmp_path, 600), [300])
    tasks: list[tuple[TaskKind, str]] = [("chunk", "chunk-0000"), ("merge", "merge")]
    for kind, task in tasks:
        if kind == "merge":
            assert cut.do("chunk", 1).ok
        killed_while_it_fetches(bucket, cut.lay_out(kind), tmp_path)
        assert f"{cut.prefix(task)}/manifest.json" not in bucket.objects
        cut.forget(task)
        code, out, err = run(cut.lay_out(kind), home=tmp_path)
        assert (code, err, out.splitlines()[-1]) == (0, "", "Delivered.")
        assert bucket.signature not in out
    assert cut.do("whole").ok
    assert cut.outcome("merge") == cut.outcome("whole")
