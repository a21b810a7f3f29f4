"""Programs of the local cloud that a person watches: their console, and how they end."""

import sys
from collections.abc import Callable

from rich.console import Console

from localstack.__main__ import stop_on_sigterm
from localstack.processes import LocalCloudError

WIDTH_IN_A_FILE = 120


def for_a_person(work: Callable[[Console], int]) -> int:
    """The exit code of `work`; 1 with one line when something is missing or fails, 130 after Ctrl-C and SIGTERM."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH_IN_A_FILE)
    stop_on_sigterm()
    try:
        return work(console)
    except LocalCloudError as error:
        print(f"mailtide: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nmailtide: stopped; nothing is left running", file=sys.stderr)
        return 130
