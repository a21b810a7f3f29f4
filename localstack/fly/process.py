"""Local processes that stand for machines: each a group of its own, all dead when the server is."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from localstack.fly import reaper

# The gate: a machine's command runs only after its group is known to the reaper; without the server it never does.
_GATE = 'read -r go || exit 1; [ -z "$1" ] || ulimit -v "$1"; shift; exec "$@" </dev/null'


class Process:
    """One started command; its group dies with its leader, as a machine powers off with its main process."""

    def __init__(self, inner: asyncio.subprocess.Process, nursery: "Nursery") -> None:
        self._inner = inner
        self._nursery = nursery
        self._ended = False

    @property
    def pid(self) -> int:
        return self._inner.pid

    def send(self, number: int) -> None:
        """Send a signal to the whole group; fine when it has ended."""
        if self._ended:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    async def wait(self) -> int:
        """The exit code, 128 + n after signal n."""
        code = await self._inner.wait()
        self.send(signal.SIGKILL)
        self._ended = True
        self._nursery.forget(self.pid)
        return code if code >= 0 else 128 - code


class Nursery:
    """Starts processes and keeps the reaper informed; `directory` holds a scratch directory per machine."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="fly-machines-"))
        self._groups: set[int] = set()
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__, str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    async def spawn(
        self, command: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path, memory_mb: int | None = None
    ) -> Process:
        """Start a command with exactly this environment; memory_mb limits its address space."""
        limit_kb = str(memory_mb * 1024) if memory_mb else ""
        with log.open("ab") as out:
            inner = await asyncio.create_subprocess_exec(
                "/bin/sh",
                *("-c", _GATE, "sh", limit_kb, *command),
                env=dict(env),
                cwd=cwd,
                stdin=asyncio.subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._tell("+", inner.pid)
        self._groups.add(inner.pid)
        if inner.stdin:
            inner.stdin.write(b"go\n")
            inner.stdin.close()
        return Process(inner, self)

    def forget(self, group: int) -> None:
        """A group has ended; called once for each."""
        if group in self._groups:
            self._groups.discard(group)
            self._tell("-", group)

    def close(self) -> None:
        """Kill what still runs and remove the scratch directories."""
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        if self._reaper.stdin:
            self._reaper.stdin.close()
        self._reaper.wait(timeout=10)

    def _tell(self, sign: str, group: int) -> None:
        if self._reaper.stdin:
            self._reaper.stdin.write(f"{sign}{group}\n".encode())
            self._reaper.stdin.flush()
