"""`python -m localstack`: the whole cloud on this computer until Ctrl-C, for work by hand and for a look around."""

import argparse
import shlex
import signal
import sys
import threading
from pathlib import Path

from localstack.cloud import LocalCloud
from localstack.compose import cloud_class
from localstack.page import make_token, sign_in_lines, upload_invented
from localstack.processes import LocalCloudError


def main(arguments: list[str] | None = None) -> int:
    """Start, print what a shell needs, wait for Ctrl-C or SIGTERM, stop. 1 with one line when it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m localstack", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port of the AWS side; 0, the default, takes a free one")
    parser.add_argument("--look", action="store_true", help="with an invented organisation and a token for the page")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="of template.yaml; may be repeated"
    )
    parser.add_argument(
        "--cloud", choices=["ministack", "localstack"], default="ministack", help="localstack needs Docker"
    )
    parser.add_argument("--trust", type=Path, help="a file with certificates that the functions trust")
    given = parser.parse_args(arguments)
    if given.trust and not given.trust.is_file():
        parser.error(f"--trust: there is no file {given.trust}")
    stop_on_sigterm()
    parameters = {"Warmup": "on"} | dict(text.partition("=")[::2] for text in given.parameter)
    try:
        make = cloud_class(given.cloud)
        with make(parameters=parameters, port=given.port, trust=given.trust, on_phase=_say) as cloud:
            print("# The local cloud is up until Ctrl-C. In another shell of this folder:", flush=True)
            for name, value in cloud.environment.items():
                print(f"export {name}={shlex.quote(value)}", flush=True)
            print(f"# The page: {cloud.page_url} (mailtide tokens add NAME --operator makes a token)", flush=True)
            if given.look:
                _have_something_to_see(cloud)
            threading.Event().wait()
    except LocalCloudError as error:
        print(f"mailtide: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _have_something_to_see(cloud: LocalCloud) -> None:
    """A token, and two organisations whose first runs begin."""
    print(f"\n{sign_in_lines(cloud, make_token(cloud, 'look-around', '--operator'))}\n", flush=True)
    for seed, (org, contacts) in enumerate({"acme": 20_000, "harbor-benefits": 3_000}.items()):
        upload_invented(cloud, org, contacts, seed)
    print("The databases of two invented organisations are uploaded: their runs begin. Ctrl-C ends it all.", flush=True)


def stop_on_sigterm() -> None:
    """Let SIGTERM end the program the way Ctrl-C does: what was opened is closed."""

    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _say(phase: str) -> None:
    print(f"# {phase} …", flush=True)


if __name__ == "__main__":
    sys.exit(main())
