"""A newcomer's path: a clean clone each, and README and tutorial typed word for word (`make newcomer`).

Of README's commands `make test` is left out: it is the check that contains all others.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.consoles import Step, base_env, play, steps_of

ROOT = Path(__file__).resolve().parents[1]
README = "README.md"
PAGES = (README, "docs/tutorial.md")
LEFT_OUT = ("make test",)
LONGEST_S = 900.0


def main() -> int:
    """0 when every command did what its page says; what differs is printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", nargs="*", default=PAGES)
    pages: list[str] = parser.parse_args().pages
    with tempfile.TemporaryDirectory(prefix="mailtide-newcomer-") as folder:
        for page in pages:
            # Of its own: whoever reads the tutorial has not set up anything.
            clone = Path(folder, Path(page).stem, "mailtide")
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
            began_s = time.monotonic()
            steps = [step for step in steps_of(clone / page) if not step.command.startswith(LEFT_OUT)]
            try:
                play(steps, clone, terminal(), timeout_s=LONGEST_S, any_figures=page == README)
            except AssertionError as error:
                print(f"newcomer: {error}", file=sys.stderr)
                return 1
            print(f"{page}: {len(steps)} commands did what it says, in {time.monotonic() - began_s:.0f} s")
            show(steps)
    return 0


def terminal() -> dict[str, str]:
    """A new terminal's environment: the PATH that a person has, nothing of this checkout's tools."""
    own = str(ROOT)
    path = [folder for folder in os.environ.get("PATH", os.defpath).split(":") if not folder.startswith(own)]
    kept = {
        name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_", "NPM_", "SSL_", "npm_"))
    }
    return {**kept, **base_env(), "PATH": ":".join(path), "COLUMNS": "160"}


def show(steps: list[Step]) -> None:
    """The commands that were typed."""
    for step in steps:
        print(f"  $ {step.command.splitlines()[0]}")


if __name__ == "__main__":
    sys.exit(main())
