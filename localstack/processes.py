"""Processes that end with whoever started them, however that one ends."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

TETHER = Path(__file__).with_name("tether.py")
LOOPBACK = "127.0.0.1"


class LocalCloudError(Exception):
    """The local cloud cannot start or has stopped; the message is one line for a person."""


class Child:
    """A process in a group of its own, with its output in a log file; `command` begins with the path of the program."""

    def __init__(self, name: str, command: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path) -> None:
        self.name = name
        self.log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-IS", str(TETHER), str(os.getpid()), *command],
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, which is that of its group too."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> int:
        """Its exit code. LocalCloudError when it takes longer."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise LocalCloudError(f"{self.name} took longer than {timeout_s:.0f} s (see {self.log})") from None

    def last_words(self) -> str:
        """The last line of its log that says something."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def stop(self, grace_s: float = 5.0) -> None:
        """End the whole group: SIGTERM, then SIGKILL for whatever is left after `grace_s`.

        Once its end has been noticed its number may belong to somebody else, so then there is nothing to do.
        """
        if self._process.returncode is not None:
            return
        _signal_group(self.pid, signal.SIGTERM)
        ends_at = time.monotonic() + grace_s
        while _members(self.pid) and time.monotonic() < ends_at:
            time.sleep(0.02)
        # Not waited for until here: an ended leader that nobody waited for keeps the number of its group.
        _signal_group(self.pid, signal.SIGKILL)
        self._process.wait()


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _members(group: int) -> bool:
    """Whether a process of the group still runs; where there is no /proc, whether the group exists."""
    processes = Path("/proc")
    if not (processes / "self").exists():
        return _signal_group(group, 0)
    for entry in processes.iterdir():
        if entry.name.isdigit():
            try:
                state, _, of_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(of_group) == group and state not in {"Z", "X"}:
                return True
    return False


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def require_free(port: int) -> None:
    """LocalCloudError when somebody listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise LocalCloudError(f"port {port} of {LOOPBACK} is not free: {error.strerror}") from None


def close_undisturbed(held: ExitStack) -> None:
    """Stop everything that is held: a second Ctrl-C waits until nothing is left running."""
    signals = {signal.SIGINT, signal.SIGTERM}
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals) if in_main_thread else None
    try:
        held.close()
    finally:
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def wait_until(condition: Callable[[], bool], *, child: Child, timeout_s: float, poll_s: float = 0.05) -> None:
    """Return once the condition holds. LocalCloudError when the child ends before, or time is up."""
    ends_at = time.monotonic() + timeout_s
    while not condition():
        if child.exit_code() is not None:
            raise LocalCloudError(f"{child.name} ended at once: {child.last_words()}")
        if time.monotonic() > ends_at:
            raise LocalCloudError(f"{child.name} was not ready after {timeout_s:.0f} s (see {child.log})")
        time.sleep(poll_s)
