"""The process at the other end of a connection, found in /proc, and its sudden end. Linux only."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def descendants(of: int) -> set[int]:
    """All processes below one, itself not among them."""
    parents = {pid: parent for pid, parent in _parents()}
    found = {of}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {of}


def _parents() -> Iterator[tuple[int, int]]:
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                yield int(entry.name), int((entry / "stat").read_text().rpartition(")")[2].split()[1])


def owner_of(port: int, *, among: set[int]) -> int | None:
    """The process that holds the local end of a connection from 127.0.0.1:port; None when it is none of those."""
    inode = _inode(port)
    return None if inode is None else next((pid for pid in among if _holds(pid, f"socket:[{inode}]")), None)


def _inode(port: int) -> str | None:
    wanted = f"0100007F:{port:04X}"
    for line in (PROC / "net" / "tcp").read_text().splitlines()[1:]:
        fields = line.split()
        # A socket that was closed on its side waits without an owner.
        if fields[1] == wanted and fields[9] != "0":
            return fields[9]
    return None


def _holds(pid: int, name: str) -> bool:
    with suppress(OSError):
        for entry in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                if str(entry.readlink()) == name:
                    return True
    return False


def kill_peer(port: int) -> int | None:
    """SIGKILL for whoever speaks from this port, when it descends from this process; its id, None when nobody was found."""
    pid = owner_of(port, among=descendants(os.getpid()))
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pid
