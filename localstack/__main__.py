"""`python -m localstack`: the whole cloud on this computer until Ctrl-C, for work by hand and for a look around."""

import argparse
import shlex
import signal
import sys
import threading

from localstack.cloud import LocalCloud
from localstack.processes import LocalCloudError


def main(arguments: list[str] | None = None) -> int:
    """Start, print what a shell needs, wait for Ctrl-C or SIGTERM, stop. 1 with one line when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m localstack", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port of the AWS side; 0, the default, takes a free one")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="of template.yaml; may be repeated"
    )
    given = parser.parse_args(arguments)
    stop_on_sigterm()
    parameters = {"Warmup": "on"} | dict(text.partition("=")[::2] for text in given.parameter)
    try:
        with LocalCloud(parameters=parameters, port=given.port, on_phase=_say) as cloud:
            print("# The local cloud is up until Ctrl-C. In another shell of this folder:", flush=True)
            for name, value in cloud.environment.items():
                print(f"export {name}={shlex.quote(value)}", flush=True)
            threading.Event().wait()
    except LocalCloudError as error:
        print(f"mailtide: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def stop_on_sigterm() -> None:
    """Let SIGTERM end the program the way Ctrl-C does: what was opened is closed."""

    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _say(phase: str) -> None:
    print(f"# {phase} …", flush=True)


if __name__ == "__main__":
    sys.exit(main())
