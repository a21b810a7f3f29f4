"""`python -IS guard.py COMMAND...` runs COMMAND and passes SIGTERM on to it, then makes sure that all of its group is gone.

The kernel's word to a process whose parent was killed (tether.py) is forgotten once the process changes its user, as Postfix'
master does, and it leads a group of its own. So this one gets the word in its place.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading

GRACE_S = 3.0


def main(command: list[str]) -> int:
    """The exit code of COMMAND."""
    told = threading.Event()
    # From before there is a command on, so that no word is lost.
    signal.signal(signal.SIGTERM, lambda _number, _frame: told.set())
    process = subprocess.Popen(command, start_new_session=True)
    ending = threading.Thread(target=_end_when_told, args=(process, told), daemon=True)
    ending.start()
    code = process.wait()
    if told.is_set():
        ending.join()
    return code


def _end_when_told(process: "subprocess.Popen[bytes]", told: threading.Event) -> None:
    told.wait()
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
