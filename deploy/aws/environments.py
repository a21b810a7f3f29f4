"""samconfig.toml: which environments there are, and what each of them says."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from deploy.aws.template import ROOT
from mailtide.errors import InputError

IMAGE_FILE = Path("deploy/aws/image.yaml")
"""Where `make image` notes the digest of the image; SAM reads it as a file of parameters."""
LOCALSTACK = "localstack"
LOCALSTACK_URL = "http://localhost:4566"


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment. overrides: of parameters, as SAM takes them on its command line; the last one counts."""

    name: str
    stack: str
    region: str
    overrides: tuple[str, ...]

    def parameter(self, name: str, default: str = "") -> str:
        """The value that this environment gives a parameter of template.yaml."""
        matches = (match for one in self.overrides for match in re.finditer(_PAIR.format(name), f" {one}"))
        found = [match[2] if match[1] is None else match[1] for match in matches]
        return found[-1] if found else default

    @property
    def is_local(self) -> bool:
        """Whether this is LocalStack, which takes any credentials and runs the machines beside itself."""
        return self.name == LOCALSTACK


_PAIR = r'(?<=\s){}=(?:"([^"]*)"|(\S*))'


def load_environment(name: str, root: Path = ROOT) -> Environment:
    """An environment of samconfig.toml. InputError when it is not there, or says too little."""
    try:
        config = tomllib.loads((root / "samconfig.toml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{root / 'samconfig.toml'} is not there.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"samconfig.toml cannot be read: {error}.") from error
    known = [env for env, commands in config.items() if isinstance(commands, dict) and "deploy" in commands]
    if name not in known:
        raise InputError(f"ENV={name} is no environment of samconfig.toml, which has {', '.join(known)}.")
    deploy = config[name].get("global", {}).get("parameters", {}) | config[name]["deploy"].get("parameters", {})
    missing = [key for key in ("stack_name", "region") if not deploy.get(key)]
    if missing:
        raise InputError(f"samconfig.toml: [{name}] says no {' and no '.join(missing)}.")
    given = deploy.get("parameter_overrides", [])
    return Environment(
        name, deploy["stack_name"], deploy["region"], tuple([given] if isinstance(given, str) else given)
    )


def noted_image(root: Path = ROOT) -> str:
    """The image that `make image` has noted, with its digest; empty when there is none."""
    file = root / IMAGE_FILE
    found = (
        re.search(r"^MachineImage: (\S+)$", file.read_text(encoding="utf-8"), re.MULTILINE) if file.exists() else None
    )
    return found[1] if found else ""
