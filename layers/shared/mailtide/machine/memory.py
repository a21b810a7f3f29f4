"""How much memory this process may still take."""

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mailtide.rules.volume import Limits

if TYPE_CHECKING:
    from mailtide.contracts import TaskDocument

_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = resource.RLIM_INFINITY


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
