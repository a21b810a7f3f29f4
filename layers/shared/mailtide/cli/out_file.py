"""Writing the file that a command makes: whole or not at all, and never over a database."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mailtide.errors import SettingsError

_SQLITE = b"SQLite format 3\x00"


def check_out_file(path: Path) -> None:
    """Refuse a path that names no file of ours to be: a folder, no folder around it, a device, or a database."""
    if path.is_dir() or not path.name:
        raise SettingsError(f"{path} is a folder; name a file.")
    if not path.parent.is_dir():
        raise SettingsError(f"There is no folder {path.parent}.")
    if not path.exists():
        return
    if not path.is_file():
        raise SettingsError(f"{path} is not an ordinary file.")
    with path.open("rb") as file:
        if file.read(len(_SQLITE)) == _SQLITE:
            raise SettingsError(f"{path} is a database; it is not overwritten.")
    if path.name.endswith(("-wal", "-shm", "-journal")):
        raise SettingsError(f"{path} belongs to a database; it is not overwritten.")


@contextmanager
def out_file(path: Path) -> Iterator[IO[bytes]]:
    """A file beside `path` that takes its place when all went well, and is gone otherwise. Raises SettingsError, OSError."""
    check_out_file(path)
    real = path.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{real.name[:100]}.", dir=real.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(_mode(real))
        check_out_file(real)
        Path(name).rename(real)
    finally:
        Path(name).unlink(missing_ok=True)


def _mode(path: Path) -> int:
    """The mode of the file that is replaced, else what the umask leaves of rw-rw-rw-."""
    if path.exists():
        return path.stat().st_mode & 0o777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask
