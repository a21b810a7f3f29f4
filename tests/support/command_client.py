"""`mailtide` for shells of the tests: hands its arguments to the process that forks, and prints what comes back.

Runs without site-packages, so it starts in a few milliseconds. Arguments: the socket, then those of the command.
"""

import json
import os
import socket
import stat
import sys
from pathlib import Path


def main() -> int:
    kind = os.fstat(0).st_mode
    piped = stat.S_ISFIFO(kind) or stat.S_ISREG(kind)
    order = {
        "arguments": sys.argv[2:],
        "cwd": str(Path.cwd()),
        "env": dict(os.environ),
        "input": sys.stdin.read() if piped else "",
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(sys.argv[1])
        with connection.makefile("rwb") as stream:
            stream.write(json.dumps(order).encode() + b"\n")
            stream.flush()
            answer = json.loads(stream.read())
    sys.stdout.write(answer["out"])
    sys.stdout.flush()
    sys.stderr.write(answer["err"])
    return int(answer["code"])


if __name__ == "__main__":
    sys.exit(main())
