"""Other programs that write to a database: real processes, told what to do line by line."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for line in sys.stdin:
    connection.execute(line).fetchall()
    print("done", flush=True)
"""

BUSY_PROGRAM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
print("done", flush=True)
while True:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE one SET n = n + 1 WHERE id = 1")
    connection.execute("INSERT INTO filler VALUES (zeroblob(3000))")
    connection.execute("UPDATE two SET n = n + 1 WHERE id = 1")
    connection.execute("COMMIT")
"""


class Writer:
    """Runs one statement after the other in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def execute(self, *statements: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for statement in statements:
            self._process.stdin.write(f"{statement}\n")
            self._process.stdin.flush()
            assert self._process.stdout.readline() == "done\n", statement

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()


@contextmanager
def writer(path: Path, program: str = PROGRAM) -> Iterator[Writer]:
    """A writer that is gone when the block is left."""
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Writer(process)
        finally:
            process.kill()


@contextmanager
def busy_writer(path: Path) -> Iterator[None]:
    """A writer that commits without a pause; the tables `one` and `two` always hold the same number."""
    with writer(path, BUSY_PROGRAM) as started:
        assert started._process.stdout is not None
        assert started._process.stdout.readline() == "done\n"
        yield
