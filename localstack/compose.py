"""The same cloud on LocalStack, for those who have Docker: `make cloud CLOUD=localstack`.

Nothing of this runs where there is no Docker engine, so no test has: the compose file is checked against its schema, and its
services against the template.
"""

import os
import subprocess
from pathlib import Path

from localstack.cloud import IMAGE, LocalCloud
from localstack.processes import Child, LocalCloudError, wait_until

FILE = "localstack/docker-compose.yml"
PORT = 4566
FLY_PORT = 4280
UP = ("docker", "compose", "--file", FILE, "up", "--detach", "--wait")
DOWN = ("docker", "compose", "--file", FILE, "down", "--volumes")
PARAMETERS = {
    "FlyApiUrl": f"http://host.docker.internal:{FLY_PORT}/v1",
    "MachineS3EndpointUrl": f"http://localhost:{PORT}",
}
"""Functions are containers, which reach the host by a name of its own; machines are processes on the host."""
ROOT = Path(__file__).resolve().parent.parent


class LocalStackCloud(LocalCloud):
    """LocalCloud with LocalStack in the place of MiniStack; its port is the compose file's."""

    def __post_init__(self) -> None:
        """The parameters that containers need, beneath those that were given."""
        self.parameters = {**PARAMETERS, **self.parameters}

    @property
    def api_url(self) -> str:
        """Where the HTTP API is: LocalStack's names of function URLs resolve to this computer."""
        return self.stack.outputs["ApiUrl"].rstrip("/")

    def _start(self) -> None:
        self.port = PORT
        _docker(("docker", "version"), {}, "no Docker engine answers; is it running, and may you use it?")
        super()._start()

    def _start_aws(self, home: Path) -> None:  # noqa: ARG002 - its files are in a volume
        self._held.callback(subprocess.run, DOWN, cwd=ROOT, capture_output=True, check=False)
        _docker(UP, {"FLY_TOKEN": self.fly_token}, "LocalStack did not start")

    def _start_fly(self, home: Path) -> None:
        port_file, program = home / "fly-port", ROOT / ".venv" / "bin"
        command = [
            *(str(program / "python"), "-m", "localstack.fly", "--host", "0.0.0.0"),
            *("--port", str(FLY_PORT), "--port-file", str(port_file), "--token", self.fly_token),
            *("--image", f"{IMAGE}={program / 'mailtide'} machine", "--rate-limit", self.fly_rate_limit),
        ]
        env = {"PATH": os.defpath, "HOME": str(home), "TMPDIR": str(home)}
        child = self._keep(Child("the Fly Machines server", command, env=env, log=self.logs / "fly.log", cwd=ROOT))
        wait_until(port_file.exists, child=child, timeout_s=60)
        self.fly_port = FLY_PORT

    def _put_token(self) -> None:
        """localstack/init/secrets.sh has."""

    def _complete(self) -> None:
        """LocalStack's CloudFormation has."""


def cloud_class(kind: str) -> type[LocalCloud]:
    """ministack or localstack -> the class of its cloud."""
    return LocalStackCloud if kind == "localstack" else LocalCloud


def _docker(command: tuple[str, ...], variables: dict[str, str], otherwise: str) -> None:
    """Run it; LocalCloudError with one sentence when it cannot be, or fails."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise LocalCloudError("CLOUD=localstack needs Docker, and there is no docker on the PATH") from None
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().rpartition("\n")[2]
        raise LocalCloudError(f"CLOUD=localstack needs Docker with compose: {otherwise} ({last})")
