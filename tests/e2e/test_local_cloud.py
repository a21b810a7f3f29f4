"""The local cloud itself: it leaves nothing running however it ends, and says in one line what is in its way."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localstack.cloud import ROOT, homes_folder
from localstack.processes import LOOPBACK

# A shell ignores SIGINT for what it runs in the background, and whatever that starts would inherit it.
START = ["env", "--default-signal=INT", sys.executable, "-m", "localstack"]


def _children(parent: int) -> Iterator[int]:
    """All descendants of a process, from /proc."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found = {parent}
    while more := {pid for pid, above in parents.items() if above in found} - found:
        found |= more
    yield from found - {parent}


def _running(pid: int) -> bool:
    """Whether the process lives; one that waits for its parent to notice its end does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("# start", signal.SIGINT),
        ("# deploy", signal.SIGKILL),
        ("export MAILTIDE_MACHINE_IMAGE", signal.SIGTERM),
    ],
)
def test_nothing_is_left_running(moment: str, number: signal.Signals) -> None:
    with subprocess.Popen(START, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as cloud:
        assert cloud.stdout is not None
        for line in cloud.stdout:
            if line.startswith(moment):
                break
        time.sleep(0.7)
        started = set(_children(cloud.pid))
        assert started, "nothing was started, so nothing is shown"
        cloud.send_signal(number)
        cloud.communicate(timeout=30)
        ends_at = time.monotonic() + 20
        while any(map(_running, started)) and time.monotonic() < ends_at:
            time.sleep(0.1)
        assert not [pid for pid in started if _running(pid)]
    if number is not signal.SIGKILL:
        assert not list(homes_folder().glob(f"{cloud.pid}-*"))


def test_a_taken_port_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [*START, "--port", str(port)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        )
    assert ended.returncode == 1
    assert ended.stderr == f"mailtide: port {port} of 127.0.0.1 is not free: Address already in use\n"


@pytest.mark.parametrize("missing", ["python3", "venv", "index"])
def test_setup_says_in_one_line_what_is_missing(missing: str, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "localstack" / "tools").mkdir(parents=True)
    for name in ("setup.sh", "tools/uv.txt"):
        (checkout / "localstack" / name).write_bytes((ROOT / "localstack" / name).read_bytes())
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "dirname", "mkdir", "rm", "tail", "tr", "env"):
        found = next(Path(folder, name) for folder in os.defpath.split(":") if Path(folder, name).exists())
        (tools / name).symlink_to(found)
    if missing == "venv":
        (tools / "python3").write_text("#!/bin/sh\nexit 1\n")
        (tools / "python3").chmod(0o755)
    elif missing == "index":
        (tools / "python3").symlink_to(Path(sys.executable).resolve())
    env = {"PATH": str(tools), "HOME": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    ended = subprocess.run(
        ["/bin/sh", str(checkout / "localstack/setup.sh"), "uv"], env=env, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("mailtide: ")
    assert {"python3": "python3 is missing", "venv": "virtual environment", "index": "package index"}[missing] in line
