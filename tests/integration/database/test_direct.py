"""Pages written past the kernel's cache: the same bytes, whatever the system, the file system and the page size allow."""

import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from mailtide.database.building.direct import ALIGNMENT, past_the_cache, write_all

BYTES = 4 * ALIGNMENT


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def pages() -> memoryview:
    """Pages in memory that is aligned as mmap gives it."""
    memory = mmap.mmap(-1, BYTES)
    memory[:] = bytes(range(256)) * (BYTES // 256)
    return memoryview(memory)


def is_direct(descriptor: int) -> bool:
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & getattr(os, "O_DIRECT", 0))


def test_the_way_past_the_cache_ends_with_its_block(file: int, pages: memoryview) -> None:
    with past_the_cache(file, ALIGNMENT):
        write_all(file, pages, ALIGNMENT)
    assert not is_direct(file)
    assert os.pread(file, 2 * BYTES, 0) == bytes(ALIGNMENT) + bytes(pages)


@pytest.mark.parametrize("page_size", [512, 1024, 2048])
def test_small_pages_take_the_usual_way(file: int, page_size: int) -> None:
    with past_the_cache(file, page_size):
        assert not is_direct(file)


@pytest.mark.parametrize(("start", "size", "at"), [(1, ALIGNMENT, 0), (0, 100, 0), (0, ALIGNMENT, 7)])
def test_what_is_not_aligned_is_written_through_the_cache(
    file: int, pages: memoryview, start: int, size: int, at: int
) -> None:
    with past_the_cache(file, ALIGNMENT):
        write_all(file, pages[start : start + size], at)
        write_all(file, pages, 2 * ALIGNMENT)
    assert os.pread(file, size, at) == bytes(pages[start : start + size])
    assert os.pread(file, BYTES, 2 * ALIGNMENT) == bytes(pages)


def test_threads_that_find_out_at_the_same_moment_all_write(file: int, pages: memoryview) -> None:
    threads, rounds = 4, 200
    with ThreadPoolExecutor(threads) as pool:
        for number in range(rounds):
            ready = Barrier(threads)

            def write(thread: int, at: int = number * threads * ALIGNMENT, ready: Barrier = ready) -> None:
                ready.wait()
                write_all(file, pages[:100], at + thread * ALIGNMENT)

            with past_the_cache(file, ALIGNMENT):
                list(pool.map(write, range(threads)))
    written = os.pread(file, rounds * threads * ALIGNMENT, 0)
    assert all(written[at : at + 100] == pages[:100] for at in range(0, len(written), ALIGNMENT))


def test_other_errors_are_told(tmp_path: Path, pages: memoryview) -> None:
    reader = os.open(tmp_path / "file", os.O_RDONLY | os.O_CREAT)
    with past_the_cache(reader, ALIGNMENT), pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        write_all(reader, pages, 0)
    os.close(reader)
