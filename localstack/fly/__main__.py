"""`python -m localstack.fly`: the Fly Machines API on this computer, until SIGINT or SIGTERM."""

import argparse
import shlex
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from localstack.fly.app import Options
from localstack.fly.server import listen, server_of


def main(arguments: list[str] | None = None) -> int:
    """Parse, listen, tell where, serve. Exit code 2 with one sentence when something is wrong."""
    given = _parser().parse_args(arguments)
    try:
        sock = listen(given.host, given.port)
    except OSError as error:
        print(f"fly: cannot listen on {given.host}:{given.port}: {error.strerror}", file=sys.stderr)
        return 2
    log_dir = given.log_dir or Path(tempfile.mkdtemp(prefix="fly-logs-"))
    server = server_of(Options(given.token, dict(given.image), log_dir.resolve(), given.rate_limit))
    port = sock.getsockname()[1]
    print(f"Fly Machines API on http://{given.host}:{port}/v1, logs of machines in {log_dir}", flush=True)
    if given.port_file:
        _write_whole(given.port_file, f"{port}\n")
    # uvicorn raises the signal that stopped it once more when all is cleaned up; that is a good end, not a failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    server.run(sockets=[sock])
    return 0 if server.started else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m localstack.fly", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    parser.add_argument("--token", required=True, help="the bearer token that requests must carry")
    parser.add_argument(
        "--image",
        type=_image,
        action="append",
        required=True,
        metavar="NAME=COMMAND",
        help="the command line that stands for an image; may be given more than once",
    )
    parser.add_argument(
        "--log-dir", type=Path, help="a log file per machine goes here (default: a temporary directory)"
    )
    parser.add_argument("--port-file", type=Path, help="the port is written here once the server listens")
    parser.add_argument(
        "--rate-limit", type=_rate, default=1.0, metavar="N/s|off", help="per action and machine (default: 1/s)"
    )
    return parser


def _image(text: str) -> tuple[str, list[str]]:
    """NAME=COMMAND; the program is looked up now, since machines run elsewhere and with another PATH."""
    name, _, command = text.partition("=")
    words = shlex.split(command)
    program = shutil.which(words[0]) if words else None
    if not name or program is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=COMMAND with a program that exists")
    return name, [str(Path(program).absolute()), *words[1:]]


def _rate(text: str) -> float | None:
    if text == "off":
        return None
    try:
        rate = float(text.removesuffix("/s"))
    except ValueError:
        rate = 0.0
    if rate <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is neither off nor a number of requests a second, such as 1/s")
    return rate


def _write_whole(path: Path, text: str) -> None:
    """Write so that a reader sees all of it or nothing."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text)
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
