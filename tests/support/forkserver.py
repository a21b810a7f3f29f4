"""Commands and functions in processes of their own, without each of them paying for the imports again.

One process imports what all of them need and reads nothing of the environment; each call is a fork of it, with its own arguments,
environment, input and output, that ends as any process does.
"""

import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "mailtide.cli.main:main"
IMPORTS = (
    "boto3.session",
    "rich.console",
    "rich.progress",
    "rich.table",
    "aws_lambda_powertools",
    "aws_lambda_powertools.utilities.batch",
    "aws_lambda_powertools.utilities.data_classes.sqs_event",
    "aws_lambda_powertools.utilities.idempotency",
    "mailtide.adapters.dns",
    "mailtide.adapters.smtp_check",
    "mailtide.adapters.token_secret",
    "mailtide.cli.machine",
    "mailtide.cli.mailboxes",
    "mailtide.adapters.fly.pool",
    "mailtide.bootstrap",
    "mailtide.cli.fly",
    "mailtide.cli.main",
    "mailtide.cli.tokens",
    "mailtide.cli.warmup",
    "mailtide.cli.warmup_tables",
    "mailtide.database.invented",
    "mailtide.deliverability.examine",
    "mailtide.database.schedule_changes",
    "mailtide.machine.dry_run",
    "mailtide.machine.explain",
    "mailtide.sending",
    "mailtide.planning",
    "mailtide.warmup.dispatch",
    "mailtide.warmup.import_mailboxes",
    "mailtide.warmup.plan",
    "mailtide.warmup.verdict",
)
"""No handler of a function: they read the environment when they are imported."""
APPENDED = os.O_WRONLY | os.O_CREAT | os.O_APPEND
SERVICES = ("dynamodb", "s3", "sqs", "kms", "secretsmanager")


class ForkServer:
    """The process that forks, from the side of the tests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forkserver"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        call: str,
        arguments: Sequence[object],
        *,
        env: Mapping[str, str],
        text: str,
        timeout_s: float,
        cwd: Path = ROOT,
    ) -> "subprocess.CompletedProcess[str]":
        """call: module:function, which takes no arguments but sys.argv."""
        with tempfile.TemporaryDirectory() as folder, self._lock:
            files = {name: Path(folder, name) for name in ("in", "out", "err")}
            files["in"].write_text(text)
            order = {
                "call": call,
                "arguments": [str(argument) for argument in arguments],
                "env": dict(env),
                "cwd": str(cwd),
                "files": {name: str(path) for name, path in files.items()},
                "timeout_s": timeout_s,
            }
            code = self._ask(order)
            assert code is not None
            return subprocess.CompletedProcess(
                [call, *map(str, arguments)], code, files["out"].read_text(), files["err"].read_text()
            )

    def start(self, call: str, arguments: Sequence[object], *, env: Mapping[str, str], log: Path) -> int:
        """The process id of a call that runs by itself; both its streams go to `log`."""
        files = {"in": os.devnull, "out": str(log), "err": str(log)}
        order = {"call": call, "arguments": [str(argument) for argument in arguments], "env": dict(env)}
        with self._lock:
            pid = self._ask(order | {"files": files, "cwd": str(ROOT)})
        assert pid is not None
        return pid

    def code_of(self, pid: int) -> int | None:
        """How a command that was started has ended; None while it runs."""
        with self._lock:
            return self._ask({"ended": pid})

    def _ask(self, order: dict[str, Any]) -> int | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: int | None = json.loads(self._process.stdout.readline())
        return answer


class Started:
    """A command, or another call, that runs by itself, as subprocess.Popen would show it."""

    def __init__(self, *arguments: object, env: Mapping[str, str], log: Path, call: str = COMMAND) -> None:
        self.pid = _server().start(call, arguments, env=env, log=log)
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        if self._code is None:
            self._code = _server().code_of(self.pid)
        return self._code

    def wait(self, timeout_s: float) -> int:
        """The exit code, once there is one. TimeoutError."""
        ends_at_s = time.monotonic() + timeout_s
        while (code := self.poll()) is None:
            if time.monotonic() > ends_at_s:
                raise TimeoutError(f"process {self.pid} runs on")
            time.sleep(0.02)
        return code


@cache
def _server() -> ForkServer:
    return ForkServer()


def run(
    call: str, *arguments: object, env: Mapping[str, str], text: str = "", timeout_s: float = 120, cwd: Path = ROOT
) -> "subprocess.CompletedProcess[str]":
    """As subprocess.run with captured output; a call that lasts longer than `timeout_s` is killed (-9)."""
    return _server().run(call, arguments, env=env, text=text, timeout_s=timeout_s, cwd=cwd)


def command(
    *arguments: object, env: Mapping[str, str], text: str = "", timeout_s: float = 120, cwd: Path = ROOT
) -> "subprocess.CompletedProcess[str]":
    """The command line."""
    return run(COMMAND, *arguments, env=env, text=text, timeout_s=timeout_s, cwd=cwd)


def _serve() -> None:
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)


def _answer(order: dict[str, Any]) -> int | None:
    if "ended" in order:
        ended, status = os.waitpid(order["ended"], os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if ended else None
    child = os.fork()
    if child == 0:
        _become(order)
        _carry_out(order["call"])
    return _wait(child, time.monotonic() + order["timeout_s"]) if "timeout_s" in order else child


def _become(order: dict[str, Any]) -> None:
    files = order["files"]
    os.chdir(order["cwd"])
    for number, (name, flags) in enumerate((("in", os.O_RDONLY), ("out", APPENDED), ("err", APPENDED))):
        opened = os.open(files[name], flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, closefd=False)
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = ["mailtide", *order["arguments"]]
    # As a script that is installed: click asks how it was started.
    sys.modules["__main__"].__package__ = None


def _carry_out(call: str) -> None:
    """Ends the process, but without taking the interpreter apart: that would copy the memory that the fork shares."""
    module, _, function = call.partition(":")
    code: object = 0
    try:
        getattr(importlib.import_module(module), function)()
    except SystemExit as left:
        code = left.code
    except BaseException:  # noqa: BLE001 - what any process would show
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1 if code else 0)


def _wait(child: int, ends_at_s: float) -> int:
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > ends_at_s:
            os.kill(child, 9)
        time.sleep(0.005)


def _prepare() -> None:
    for name in IMPORTS:
        importlib.import_module(name)
    import boto3

    # Kept by the session's loader, which knows nothing of the environment.
    boto3.setup_default_session()
    loader = boto3._get_default_session()._session.get_component("data_loader")
    for service in SERVICES:
        for kind in ("service-2", "endpoint-rule-set-1"):
            loader.load_service_model(service, kind)
    loader.load_data_with_path("endpoints")
    loader.load_data_with_path("sdk-default-configuration")
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _prepare()
    _serve()
