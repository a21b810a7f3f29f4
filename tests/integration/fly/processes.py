"""What /proc tells of processes."""

import time
from collections.abc import Callable
from pathlib import Path


def eventually(condition: Callable[[], bool], within_s: float = 30.0) -> bool:
    """Whether the condition comes true in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def group_is_over(pgid: int) -> bool:
    """Whether no process of the group does anything any more (a zombie that waits for its parent does not)."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == pgid and fields[0] != "Z":
            return False
    return True


def environment_of(pid: int) -> dict[str, str]:
    """The environment that a process was started with; in the moment of its exec there is none to be read."""
    path = Path(f"/proc/{pid}/environ")
    assert eventually(lambda: path.read_bytes() != b"")
    pairs = path.read_text().split("\0")
    return dict(pair.partition("=")[::2] for pair in pairs if pair)
