"""How much memory this process may still take, and what it keeps of what it gives back."""

import ctypes
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mailtide.rules.volume import Limits

if TYPE_CHECKING:
    from mailtide.contracts import TaskDocument

_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = resource.RLIM_INFINITY
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_KEPT_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Have the C library keep up to 1 GB of what is freed, pieces of any size, for all threads together, for as long as this
    process lives.

    The columns of a pass come and go by the thousand, and the kernel clears each page that it gives out anew: on a virtual
    machine that takes up to three seconds a GB. For processes that are our own; elsewhere than on glibc nothing happens.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        # No piece is mapped for itself, and threads have no heaps of their own.
        set_option(_M_MMAP_MAX, 0)
        set_option(_M_ARENA_MAX, 1)


def available_memory_bytes(proc: Path = Path("/proc"), cgroup: Path = _CGROUP) -> int | None:
    """The least of what the system has left, what its control group leaves, and what the address space may grow by; None
    where none of them is known (elsewhere than on Linux)."""
    return min(_known(proc, cgroup), default=None)


def limits_of(document: "TaskDocument") -> Limits:
    """What the schedule of a task may come to on this machine."""
    return Limits(mails_per_contact=document.max_mails_per_contact, memory_bytes=available_memory_bytes())


def _known(proc: Path, cgroup: Path) -> Iterator[int]:
    system = _named(proc / "meminfo", "MemAvailable:")
    if system is not None:
        yield system * 1024
    limit, used = _number(cgroup / "memory.max"), _named(cgroup / "memory.stat", "anon")
    if limit is not None:
        yield max(0, limit - (used or 0))
    allowed, taken = resource.getrlimit(resource.RLIMIT_AS)[0], _named(proc / "self" / "status", "VmSize:")
    if allowed != _UNLIMITED and taken is not None:
        yield max(0, allowed - taken * 1024)


def _named(path: Path, name: str) -> int | None:
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = next((words for line in lines if (words := line.split())[:1] == [name]), [])
    return int(found[1]) if len(found) > 1 and found[1].isdigit() else None


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None
