"""Commands that are run, or with a dry run only shown, and the one sentence when one of them cannot be."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from deploy.aws.template import ROOT
from mailtide.errors import InputError, MailtideError

SAM = ROOT / ".tools" / "sam" / "bin"


class StepError(MailtideError):
    """A command has failed; it has said why."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Runs commands in the root of the repository. dry: shows them instead. environment: variables besides the shell's."""

    dry: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, *command: str) -> None:
        """One command, its output for the person. StepError when it fails, InputError when there is no such program."""
        if self.dry:
            print(self._shown(command))
            return
        sys.stdout.flush()
        try:
            done = subprocess.run(command, cwd=ROOT, env=self._variables(), check=False)
        except FileNotFoundError:
            raise InputError(f"{command[0]} is not installed.") from None
        if done.returncode != 0:
            raise StepError(f"{Path(command[0]).name} {command[1]} failed with exit code {done.returncode}.")

    def sam(self, *command: str) -> None:
        """SAM of the tool set, with the Python of the runtime first on the PATH."""
        self.run(str(SAM / "sam") if not self.dry else "sam", *command)

    def _variables(self) -> dict[str, str]:
        path = f"{SAM}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {**os.environ, "PATH": path, "SAM_CLI_TELEMETRY": "0", **self.environment}

    def _shown(self, command: Sequence[str]) -> str:
        return " ".join([*(f"{name}={value}" for name, value in self.environment.items()), shlex.join(command)])


def need_docker(purpose: str, *, buildx: bool = False) -> None:
    """InputError with one sentence where there is no Docker that works."""
    if shutil.which("docker") is None:
        raise InputError(f"{purpose} needs Docker, and there is no docker on the PATH.")
    if _fails("docker", "version", "--format", "{{.Server.Version}}"):
        raise InputError(f"{purpose} needs Docker, and no Docker engine answers; is it running, and may you use it?")
    if buildx and _fails("docker", "buildx", "version"):
        raise InputError(
            f"{purpose} needs docker buildx, and this Docker has none; on Debian: apt-get install docker-buildx"
        )


def _fails(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode != 0


def main(action: Callable[[], None]) -> NoReturn:
    """Exit codes as the command line has them: 0 done, 1 it could not be done, 2 what was given is wrong, 130 Ctrl-C."""
    try:
        action()
    except KeyboardInterrupt:
        sys.exit(130)
    except InputError as error:
        _leave(2, str(error))
    except MailtideError as error:
        _leave(1, str(error))
    except NoCredentialsError:
        _leave(2, "There are no AWS credentials here: aws configure, or export AWS_PROFILE.")
    except (BotoCoreError, ClientError) as error:
        _leave(1, f"AWS: {str(error).rstrip('.')}.")
    sys.exit(0)


def _leave(code: int, sentence: str) -> NoReturn:
    print(f"mailtide: {' '.join(sentence.split())}", file=sys.stderr)
    sys.exit(code)
