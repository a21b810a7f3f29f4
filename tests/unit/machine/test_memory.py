"""What a process of our own keeps of the memory that it frees."""

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from mailtide.machine.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()

def touched():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    columns = [np.ones(1 << 20, np.uint8) for _ in range(96)]
    del columns
    # Several threads' work, and pieces of any size. Pages of 2 MB, which numpy asks for, would be counted as one.
    with ThreadPoolExecutor(2) as pool:
        for size in (1 << 21, 96 << 20):
            list(pool.map(lambda size: np.ones(size, np.uint8).sum(), [size]))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

first = touched()
print(first, touched())
"""


def faults(mode: str) -> tuple[int, int]:
    """Page faults of making columns of 96 MB in all, and of making them again when the first are gone."""
    environment = os.environ | {"NUMPY_MADVISE_HUGEPAGE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, mode], check=True, capture_output=True, text=True, env=environment
    )
    first, again = map(int, done.stdout.split())
    return first, again


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's memory alone is told what to keep")
def test_what_is_freed_is_used_again_without_the_kernel() -> None:
    first, again = faults("kept")
    assert first > 20_000 > 100 * again
    assert faults("given back")[1] > 10_000
