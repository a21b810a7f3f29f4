"""Kills the process groups of a server that died, however it died; run as a process of its own.

Standard input: "+pgid" and "-pgid" lines. At its end (the server is gone) every group still listed is killed and the
directory given as the argument is removed.
"""

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path


def main(directory: Path) -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
