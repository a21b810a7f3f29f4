"""The SAM CLI against the local cloud; its folders are its own, so that no build for this computer is deployed to AWS."""

import fcntl
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from localstack.processes import LOOPBACK, Child, LocalCloudError

BUILD_TIMEOUT_S = 600.0
DEPLOY_TIMEOUT_S = 180.0
LAYERS = ("DepsLayer", "SharedLayer")


class Sam:
    """Builds and deploys template.yaml of the checkout `root`; `keep` takes charge of each process that is started."""

    def __init__(self, root: Path, logs: Path, keep: Callable[[Child], Child]) -> None:
        self._root = root
        self._logs = logs
        self._keep = keep
        self._work = root / ".local" / "sam"

    @contextmanager
    def alone(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """Hold the build folder: a second local cloud of the same checkout waits here until this one is deployed.

        on_wait: called when there is another to wait for.
        """
        self._work.mkdir(parents=True, exist_ok=True)
        with (self._work / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def build(self) -> Child:
        """Start `sam build`; what has not changed comes from its cache."""
        folders = ["--build-dir", str(self._work / "build"), "--cache-dir", str(self._work / "cache")]
        parameters = ["--parameter-overrides", f"Architecture={_architecture()}"]
        return self._start("build", "--cached", "--parallel", *folders, *parameters)

    def slim(self) -> None:
        """Make the built layers start faster, in the build folder and in SAM's cache, from which the next build comes."""
        cached = (self._work / "cache").glob("*/python")
        layers = [*(self._work / "build" / name for name in LAYERS), *(folder.parent for folder in cached)]
        line = [str(self._root / ".venv/bin/python"), str(self._root / "layers/slim.py"), *map(str, layers)]
        finish(self._keep(Child("slim", line, env={}, log=self._logs / "slim.log", cwd=self._root)), BUILD_TIMEOUT_S)

    def deploy(self, stack: str, bucket: str, parameters: Mapping[str, str], environment: Mapping[str, str]) -> Child:
        """Start `sam deploy` of what was built. bucket: an existing one for the artifacts."""
        overrides = {"Architecture": _architecture(), **parameters}
        return self._start(
            "deploy",
            *("--template-file", str(self._work / "build" / "template.yaml")),
            *("--stack-name", stack, "--s3-bucket", bucket, "--capabilities", "CAPABILITY_IAM"),
            *("--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-resolve-s3"),
            *("--parameter-overrides", *(f"{name}={value}" for name, value in overrides.items())),
            environment=environment,
        )

    def _start(self, command: str, *options: str, environment: Mapping[str, str] | None = None) -> Child:
        tool = self._root / ".tools" / "sam" / "bin"
        # The user's own AWS settings must not matter, all else (proxies, package index, certificates) may.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_CLI_"))}
        env = {
            **inherited,
            "PATH": f"{tool}{os.pathsep}{inherited.get('PATH', os.defpath)}",
            "NO_PROXY": LOOPBACK,
            "no_proxy": LOOPBACK,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.1",
            **(environment or {"AWS_DEFAULT_REGION": "us-east-1"}),
        }
        line = [str(tool / "sam"), command, *options]
        return self._keep(Child(f"sam {command}", line, env=env, log=self._logs / f"sam-{command}.log", cwd=self._root))


def finish(child: Child, timeout_s: float) -> None:
    """Wait until a command of SAM is through. LocalCloudError with its last line when it fails."""
    if child.wait(timeout_s) != 0:
        raise LocalCloudError(f"{child.name} failed: {child.last_words()} (see {child.log})")


def _architecture() -> str:
    """This computer's processor by its name in the template: functions run here as plain processes."""
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"
