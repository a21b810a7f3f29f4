"""Writing pages past the kernel's cache: no copy of them, and none of its memory for what nobody reads soon. No numpy."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

ALIGNMENT = 4096
"""Of addresses, places and sizes; no usual disk or file system asks for more."""
_DIRECT = getattr(os, "O_DIRECT", 0)


@contextmanager
def past_the_cache(descriptor: int, page_size: int) -> Iterator[None]:
    """Have whole pages in aligned memory go to the disk at once, where system, file system and page size allow it."""
    if page_size % ALIGNMENT == 0:
        _set_direct(descriptor, _DIRECT)
    try:
        yield
    finally:
        _set_direct(descriptor, 0)


def write_all(descriptor: int, content: memoryview, at: int) -> None:
    """Write bytes to a place of a file; through the cache from the first one on that the way past it does not take."""
    while content:
        # Asked before the write: another thread may find out at the same moment, and be first to turn it off.
        was_direct = fcntl.fcntl(descriptor, fcntl.F_GETFL) & _DIRECT
        try:
            written = os.pwrite(descriptor, content, at)
        except OSError as error:
            if error.errno != errno.EINVAL or not was_direct:
                raise
            _set_direct(descriptor, 0)
        else:
            content, at = content[written:], at + written


def _set_direct(descriptor: int, direct: int) -> None:
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~_DIRECT | direct)
    except OSError:
        # This file system has no such way.
        return
