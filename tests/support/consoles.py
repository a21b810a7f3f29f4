"""The console blocks of a page, played in a shell as a reader would type them, and compared with what the page prints.

In a page's output a line `…` stands for any lines, and `…` within a line for any text; a command without output below it
may print what it likes. A command must succeed unless the page shows a sentence that begins with `mailtide: `.
"""

import json
import os
import re
import signal
import socketserver
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support import forkserver

BLOCK = re.compile(r"^( *)```console\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
"""Within a list it is indented."""
HEREDOC = re.compile(r"<<'(\w+)'")
CLIENT = Path(__file__).with_name("command_client.py")
MARK = "\x01"
COMMAND_TIMEOUT_S = 300.0
"""Only what hangs takes so long: no reader would wait longer for a command of a page."""
LOOSE = {r"[0-9a-f]{12,}": "[0-9a-f]+", r"\d[\d.,:]*": r"\d[\d.,:]*", r"\s+": r"\s+", "─+": "─+", "…": ".*"}
"""What may differ where any figures will do, and what it must still look like."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a page. shown: the lines below it. where: page and line, for messages."""

    command: str
    shown: tuple[str, ...]
    where: str

    @property
    def fails(self) -> bool:
        return any(line.startswith("mailtide: ") for line in self.shown)

    def agrees(self, printed: str, *, any_figures: bool = False) -> bool:
        """Whether it printed what the page shows; any_figures: with whatever numbers, ids and widths of columns."""
        return not self.shown or re.fullmatch(_pattern(self.shown, any_figures), _trimmed(printed)) is not None


def steps_of(page: Path) -> list[Step]:
    """The commands of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found: list[Step] = []
    for block in BLOCK.finditer(text):
        first_line = text.count("\n", 0, block.start()) + 2
        found += _steps(textwrap.dedent(block[2]).splitlines(), page.name, first_line)
    return found


def _steps(lines: list[str], page: str, first_line: int) -> list[Step]:
    found: list[Step] = []
    until: str | None = None
    for number, line in enumerate(lines, first_line):
        if until is not None:
            found[-1] = replace(found[-1], command=f"{found[-1].command}\n{line}")
            until = None if line == until else until
        elif line.startswith("$ "):
            found.append(Step(line[2:], (), f"{page}:{number}"))
            opened = HEREDOC.search(line)
            until = opened[1] if opened else None
        else:
            assert found, f"{page}:{number} begins with output"
            found[-1] = replace(found[-1], shown=(*found[-1].shown, line))
    return found


def _pattern(shown: Sequence[str], any_figures: bool) -> str:
    return "".join(r"(?:.*\n)*" if line == "…" else _pattern_of(line, any_figures) + r"\n" for line in shown)


def _pattern_of(line: str, any_figures: bool) -> str:
    if not any_figures:
        return re.escape(line).replace("…", ".*")
    return "".join(_loosely(piece) for piece in re.split(f"({'|'.join(LOOSE)})", line))


def _loosely(piece: str) -> str:
    for kind, pattern in LOOSE.items():
        if re.fullmatch(kind, piece):
            return pattern
    return re.escape(piece)


def _trimmed(printed: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in printed.splitlines())


@contextmanager
def shim(folder: Path) -> Iterator[Path]:
    """A folder for the PATH whose `mailtide` is a fork of one process that has the imports done."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            order = json.loads(self.rfile.readline())
            done = forkserver.command(
                *order["arguments"],
                env=order["env"],
                cwd=order["cwd"],
                text=order["input"],
                timeout_s=COMMAND_TIMEOUT_S,
            )
            killed = f"(ended by signal {-done.returncode})\n" if done.returncode < 0 else ""
            answer = {"out": done.stdout, "err": done.stderr + killed, "code": done.returncode}
            self.wfile.write(json.dumps(answer).encode())

    path = folder / "shim"
    path.mkdir()
    address = str(folder / "socket")
    with socketserver.ThreadingUnixStreamServer(address, Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        command = path / "mailtide"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {CLIENT} {address} "$@"\n')
        command.chmod(0o755)
        yield path
        server.shutdown()


def play(
    steps: Sequence[Step],
    folder: Path,
    env: Mapping[str, str],
    *,
    timeout_s: float | None = None,
    any_figures: bool = False,
) -> None:
    """Type all commands into one shell in `folder`; AssertionError tells the first that did not do what its page says.

    timeout_s: of all; the shell, and whatever it has started, is killed then. None: COMMAND_TIMEOUT_S a command.
    """
    longest_s = timeout_s or COMMAND_TIMEOUT_S * len(steps)
    script = "".join(f"{{ {step.command}\n}} </dev/null 2>&1\nprintf '{MARK}%d{MARK}' $?\n" for step in steps)
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            printed, complaint = shell.communicate(timeout=longest_s)
        except BaseException as error:
            os.killpg(shell.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            printed, complaint = shell.communicate()
            complaint += f"(killed after {longest_s:.0f} s)"
    _compare(steps, printed, complaint, any_figures=any_figures)


def _compare(steps: Sequence[Step], output: str, complaint: str, *, any_figures: bool) -> None:
    pieces = output.split(MARK)
    for step, printed, code in zip(steps, pieces[::2], pieces[1::2], strict=False):
        told = f"{step.where}: {step.command}\nexit code {code}, printed:\n{printed}"
        assert (code != "0") == step.fails, told
        assert step.agrees(printed, any_figures=any_figures), f"{told}\nthe page shows:\n" + "\n".join(step.shown)
    assert len(pieces) == 2 * len(steps) + 1, f"the shell ended early: {output[-500:]}{complaint[-500:]}"


def base_env(*paths: Path) -> dict[str, str]:
    """An environment as of a new terminal, a hundred and ten columns wide."""
    return {
        "PATH": ":".join([*map(str, paths), os.defpath, "/usr/local/bin"]),
        "COLUMNS": "110",
        "LC_ALL": "C.UTF-8",
        "HOME": os.environ.get("HOME", "/"),
    }
