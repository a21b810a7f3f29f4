"""The life of a machine's process: boot, run, exit, restart or not, destroy; with the faults that strike it."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localstack.fly.faults import (
    CrashOnBoot,
    ExitCode,
    Hang,
    Kill,
    MachineFault,
    MemoryLimit,
    OutOfMemory,
    SlowBoot,
    Vanish,
)
from localstack.fly.machine import Machine, now
from localstack.fly.process import Nursery, Process
from localstack.fly.volumes import Volumes

DEFAULT_MAX_RETRIES = 10
_RESTART_PAUSE_S = 0.2


class Life:
    """Runs one machine's process for as long as the machine lives."""

    def __init__(self, machine: Machine, nursery: Nursery, volumes: Volumes) -> None:
        self.machine = machine
        self._nursery = nursery
        self._volumes = volumes
        self._process: Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._stop_requested = False
        self._destroy_requested = False
        self._exit_code: int | None = None
        self._oom_killed = False

    def start(self) -> None:
        """Boot the machine; it must not be running."""
        self._stop_requested = False
        self._task = asyncio.create_task(self._run())

    async def stop(self, number: int, timeout_s: float) -> None:
        """Ask the process to stop, and kill it when it has not by then; returns at once."""
        if not self.alive:
            return
        self._stop_requested = True
        self.machine.moved("stopping", "stop", "user")
        if self._process is None:
            await self.cut()
            self._finish({"exit_event": {"requested_stop": True, "exited_at": now()}})
            return
        self._process.send(number)
        asyncio.get_running_loop().call_later(timeout_s, self._process.send, signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Send a signal to the process, if it runs."""
        if self._process:
            self._process.send(number)

    async def destroy(self) -> None:
        """Kill the process and destroy the machine."""
        self._destroy_requested = self._stop_requested = True
        if self.machine.state != "destroying":
            self.machine.moved("destroying", "destroy", "user")
        await self.cut()
        if not self.machine.gone:
            self.machine.moved("destroyed", "destroy")

    async def cut(self) -> None:
        """Take the power away and wait until the process is dead."""
        self._stop_requested = True
        task = self._task
        if task is None or task.done():
            return
        if self._process is None:
            task.cancel()
        self.signal(signal.SIGKILL)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    @property
    def alive(self) -> bool:
        return self._task is not None and not self._task.done()

    async def _run(self) -> None:
        machine = self.machine
        restarts = 0
        while True:
            try:
                exit_event = await self._boot()
            except OSError as error:
                machine.moved("failed", "start", request={"error": f"could not boot: {error}"})
                return
            if machine.vanished:
                return
            again = self._restarts(exit_event.get("exit_code", 0), restarts)
            request = {"exit_event": exit_event | ({"restarting": True} if again else {})}
            if not again:
                break
            restarts += 1
            machine.moved("stopped", "exit", request=request)
            await asyncio.sleep(_RESTART_PAUSE_S)
        self._finish(request)

    def _finish(self, request: dict[str, Any]) -> None:
        """The last exit: stopped, or destroyed without ever being seen stopped."""
        machine = self.machine
        if not (machine.config.get("auto_destroy") or self._destroy_requested):
            machine.moved("stopped", "exit", request=request)
            return
        machine.record("exit", "stopped", request=request)
        if machine.state != "destroying":
            machine.moved("destroying", "destroy")
        machine.moved("destroyed", "destroy")

    async def _boot(self) -> dict[str, Any]:
        """Run the process once, from boot to exit; returns the exit event."""
        machine = self.machine
        self._exit_code, self._oom_killed = None, False
        machine.moved("starting", "start", "user")
        slow = [fault for fault in machine.faults if isinstance(fault, SlowBoot)]
        await asyncio.sleep(sum(fault.delay_s for fault in slow))
        machine.struck += [fault.kind for fault in slow]
        command, crashes = self._command()
        # As the root file system of a machine is its image anew at each start.
        scratch = self._nursery.directory / machine.id
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        limits = [fault.kind for fault in machine.faults if isinstance(fault, MemoryLimit)]
        machine.struck += limits
        limit = machine.memory_mb if limits else None
        self._process = await self._nursery.spawn(command, self._env(scratch), scratch, machine.log, limit)
        machine.pid = self._process.pid
        if not crashes:
            machine.moved("started", "start")
        timers = [asyncio.create_task(self._strike(fault)) for fault in machine.faults]
        try:
            code = await self._process.wait()
        finally:
            self._process, machine.pid = None, None
            for timer in timers:
                timer.cancel()
        return self._exit_event(code)

    def _command(self) -> tuple[list[str], bool]:
        """What to run, and whether it crashes before it counts as started."""
        for fault in self.machine.faults:
            if isinstance(fault, CrashOnBoot):
                self.machine.struck.append(fault.kind)
                return ["/bin/sh", "-c", f"echo 'boot failed (planted fault)' >&2; exit {fault.exit_code}"], True
            if isinstance(fault, Hang) and fault.after_s is None:
                self.machine.struck.append(fault.kind)
                return ["sleep", "infinity"], False
        return self.machine.command, False

    def _env(self, scratch: Path) -> dict[str, str]:
        machine = self.machine
        return {
            "PATH": os.defpath + ":/usr/local/bin",
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
            **self._own_env(),
            "FLY_MACHINE_ID": machine.id,
            "FLY_APP_NAME": machine.app,
            "FLY_REGION": machine.region,
        }

    def _own_env(self) -> dict[str, str]:
        """The configuration's, with the folder of a volume in the place of where the machine would see it."""
        places = {path: str(folder) for path, folder in self._volumes.places(self.machine).items()}
        given: dict[str, str] = self.machine.config.get("env") or {}
        return {name: places.get(value, value) for name, value in given.items()}

    async def _strike(self, fault: MachineFault) -> None:
        effect = self._timed_effect(fault)
        if effect is not None:
            await asyncio.sleep(getattr(fault, "after_s", 0.0))
            self.machine.struck.append(fault.kind)
            effect()

    def _timed_effect(self, fault: MachineFault) -> Callable[[], None] | None:
        if isinstance(fault, ExitCode):
            return None if fault.after_s is None else lambda: self._end(exit_code=fault.exit_code)
        if isinstance(fault, OutOfMemory):
            return lambda: self._end(oom_killed=True)
        if isinstance(fault, Hang):
            return None if fault.after_s is None else lambda: self.signal(signal.SIGSTOP)
        if isinstance(fault, Kill):
            return self._end
        return self._vanish if isinstance(fault, Vanish) else None

    def _end(self, exit_code: int | None = None, *, oom_killed: bool = False) -> None:
        self._exit_code, self._oom_killed = exit_code, oom_killed
        self.signal(signal.SIGKILL)

    def _vanish(self) -> None:
        self.machine.vanished = True
        self.signal(signal.SIGKILL)

    def _exit_event(self, real_code: int) -> dict[str, Any]:
        """The event of an exit; like Fly's, it leaves out what is 0 or false."""
        lies = [fault for fault in self.machine.faults if isinstance(fault, ExitCode) and fault.after_s is None]
        self.machine.struck += [fault.kind for fault in lies]
        planted = [fault.exit_code for fault in lies]
        code = next((code for code in [self._exit_code, *planted] if code is not None), real_code)
        event = {
            "exit_code": code,
            "guest_exit_code": code if code < 128 else 0,
            "guest_signal": code - 128 if code > 128 else 0,
            "oom_killed": self._oom_killed,
            "requested_stop": self._stop_requested,
            "exited_at": now(),
        }
        return {key: value for key, value in event.items() if value}

    def _restarts(self, code: int, restarts: int) -> bool:
        policy = self.machine.config.get("restart") or {}
        if self._stop_requested or policy.get("policy") == "no":
            return False
        if policy.get("policy") == "always":
            return True
        return code != 0 and restarts < policy.get("max_retries", DEFAULT_MAX_RETRIES)
