"""`mailtide machine` as the image starts it: a process with a URL in its environment, an exit code and a log."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mailtide.contracts import Manifest
from tests.integration.machine.fault_bucket import FaultBucket
from tests.integration.machine.tasks import SOURCE, TRY, Task, database
from tests.support import forkserver

MAILTIDE = Path(sys.executable).with_name("mailtide")


@pytest.fixture(scope="module")
def contacts(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return database(tmp_path_factory.mktemp("invented"))


def start(url: str, *options: str, home: Path) -> subprocess.Popen[str]:
    """The entry point with nothing in its environment but what a machine has."""
    environment = {"MAILTIDE_TASK_URL": url, "FLY_MACHINE_ID": "3d8d9930a1b489", "TMPDIR": str(home)}
    command = [str(MAILTIDE), "machine", *options]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(url: str, *options: str, home: Path) -> tuple[int, str, str]:
    """The same as a fork of a process that has imported already what a machine imports."""
    environment = {"MAILTIDE_TASK_URL": url, "FLY_MACHINE_ID": "3d8d9930a1b489", "TMPDIR": str(home)}
    done = forkserver.command("machine", *options, env=environment, timeout_s=60)
    return done.returncode, done.stdout, done.stderr


def test_a_delivery_ends_with_0_and_leaves_no_file(bucket: FaultBucket, contacts: bytes, tmp_path: Path) -> None:
    task = Task(bucket, contacts)
    with start(task.url, home=tmp_path) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[0] == "task whole of run 7abd3c7bebca4a1f8d67, try 1"
    assert out.splitlines()[-1] == "Delivered."
    assert task.is_discreet(out)
    assert task.written() == ["claim.json", "contacts.db", "manifest.json"]
    assert list(tmp_path.iterdir()) == []


def test_a_failure_ends_with_1_and_its_sentence(bucket: FaultBucket, tmp_path: Path) -> None:
    task = Task(bucket, b"no database at all" * 100)
    code, out, err = run(task.url, "--json", home=tmp_path)
    assert code == 1
    assert json.loads(out) == {"ok": False, "sentence": task.error().failure.message}
    assert task.is_discreet(out + err)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_and_its_details_stay_in_the_machines_log(
    bucket: FaultBucket, contacts: bytes, tmp_path: Path
) -> None:
    task = Task(bucket, contacts)
    # The system refuses to let a file grow past 16 KiB.
    limited = ["/bin/sh", "-c", 'ulimit -f 32; exec "$0" machine', str(MAILTIDE)]
    environment = {"MAILTIDE_TASK_URL": task.url, "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(limited, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "The machine failed: File too large."
    assert task.error().failure.kind == "internal"
    assert "Traceback" in done.stderr
    assert bucket.signature not in done.stderr
    assert bucket.base_url not in done.stderr


def test_an_expired_url_ends_with_1_and_without_the_url(bucket: FaultBucket, contacts: bytes, tmp_path: Path) -> None:
    task = Task(bucket, contacts)
    secret = bucket.signature
    bucket.signature = "another"
    code, out, err = run(task.url, home=tmp_path)
    assert (code, err) == (1, "")
    assert out == "The machine cannot report to the bucket: fetching the task: the bucket answered 403.\n"
    assert secret not in out + err


def test_a_bucket_that_is_not_there_ends_with_1_after_its_retries(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/task.json?X-Amz-Signature=secret"
        code, out, err = run(url, home=tmp_path)
    assert (code, err) == (1, "")
    assert out.count("again in ") == 5
    assert out.splitlines()[-1] == "The machine cannot report to the bucket: fetching the task: ConnectError."
    assert "secret" not in out


@pytest.mark.parametrize("url", ["", "task.json", "ftp://host/task.json?secret", "http://", "http://host:port/secret"])
def test_what_is_no_url_ends_with_2_and_is_not_quoted(url: str, tmp_path: Path) -> None:
    code, out, err = run(url, home=tmp_path)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "secret" not in err
    assert "task" in err.lower()


def test_of_two_processes_on_one_try_exactly_one_works(bucket: FaultBucket, contacts: bytes, tmp_path: Path) -> None:
    task = Task(bucket, contacts)
    bucket.fail("GET", SOURCE, "slow", times=2)
    both = [start(task.url, home=tmp_path) for _ in range(2)]
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(out.splitlines()[-1] for out, _ in said) == ["Another process works on this try.", "Delivered."]
    assert [err for _, err in said] == ["", ""]
    assert sorted(seen.status for seen in bucket.of("PUT", f"{TRY}/claim.json")) == [200, 412]
    assert len(bucket.of("GET", SOURCE)) == 1
    assert task.written() == ["claim.json", "contacts.db", "manifest.json"]


def test_a_process_that_is_killed_leaves_no_manifest(bucket: FaultBucket, contacts: bytes, tmp_path: Path) -> None:
    task = Task(bucket, contacts)
    bucket.fail("GET", SOURCE, "stall", at=10_000)
    process = start(task.url, home=tmp_path)
    deadline_s = time.monotonic() + 30
    while not bucket.of("GET", SOURCE) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    assert task.written() == ["claim.json"]
    assert run(task.url, home=tmp_path)[0] == 0
    assert task.body("manifest.json") is None


def test_a_line_that_drops_is_told_in_the_log_and_resumed(bucket: FaultBucket, contacts: bytes, tmp_path: Path) -> None:
    task = Task(bucket, contacts)
    bucket.fail("GET", SOURCE, "drop", at=10_000)
    bucket.fail("GET", SOURCE, "status", status=503)
    code, out, err = run(task.url, home=tmp_path)
    assert (code, err) == (0, "")
    assert "s: fetching the database: the bucket answered 503" in out
    assert [seen.range for seen in bucket.of("GET", SOURCE)] == ["bytes=0-", "bytes=10000-", "bytes=10000-"]
    manifest = Manifest.model_validate_json(task.body("manifest.json") or b"")
    assert manifest.timings.fetch_s >= 0.2
