"""The whole template on this computer: MiniStack for AWS, the Fly Machines server beside it, both on 127.0.0.1 only.

    with LocalCloud(parameters={"WatchStallS": "5"}) as cloud:
        cloud.client("s3").upload_file("contacts.db", cloud.stack.bucket, "orgs/acme/contacts.db")

Everything is started clean, and everything is gone when the block is left, by whatever way.
"""

import os
import secrets
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config

from localstack import sam
from localstack.left_out import apply_what_is_left_out
from localstack.processes import (
    LOOPBACK,
    Child,
    LocalCloudError,
    close_undisturbed,
    free_port,
    require_free,
    wait_until,
)
from mailtide.warmup.settings import WarmupSettings

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
STATE = ROOT / ".local"
STACK = "mailtide"
ARTIFACTS = "mailtide-artifacts"
IMAGE = "mailtide:local"
REGION = "us-east-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}
TOKEN_SECRET = "mailtide/fly-token"
FLY_APP = "mailtide-local"
IN_MEMORY_FROM_BYTES = 6_000_000_000
QUEUES = (
    "plan", "launch", "collect", "finish", "watch", "webhook", "warmup_plan", "warmup_dispatch", "warmup_send", "warmup_read",
)  # fmt: skip
TABLES = ("mailboxes", "ledger", "reads", "limits", "idempotency")
PARAMETERS = {
    # On AWS a failed message waits for six times the time-out of its function. Here it waits longer than a cold start takes.
    "RetryAfterS": "15",
    # Each further process of a function unpacks its layers and starts cold: two is what SQS allows at least.
    "Scale": "small",
    # Ticks by themselves would wake functions in the midst of whatever else is shown or tested here.
    "Warmup": "off",
    "WarmupShards": "10",
    # No X-Ray daemon listens here.
    "Tracing": "PassThrough",
    "WebhookLoopback": "true",
    "FlyApp": FLY_APP,
    "FlyTokenSecret": TOKEN_SECRET,
    "MachineImage": IMAGE,
}


def homes_folder() -> Path:
    """Where clouds keep their files while they are up: in memory where there is plenty, since each process of a function
    unpacks thousands of small files, which must go again at the end; otherwise on disk."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= IN_MEMORY_FROM_BYTES:
        return memory / f"mailtide-{os.getuid()}"
    return STATE / "clouds"


@dataclass(frozen=True, slots=True)
class Stack:
    """What was deployed: the outputs of template.yaml by name."""

    outputs: Mapping[str, str]

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self.outputs["Bucket"]

    def queue_url(self, name: str) -> str:
        """Queue of a function, by its name in QUEUES."""
        return self.outputs[f"{_camel(name)}QueueUrl"]

    def dead_letters_url(self, name: str) -> str:
        """Dead-letter queue of a function, likewise."""
        return self.outputs[f"{_camel(name)}DeadLettersUrl"]

    @property
    def functions(self) -> tuple[str, ...]:
        """Names of the deployed functions."""
        return tuple(value for key, value in self.outputs.items() if key.endswith("Name"))


@dataclass
class LocalCloud:
    """A context manager; see the module's docstring.

    parameters: of template.yaml, over PARAMETERS. port: of MiniStack, 0 for a free one. logs: folder for the logs of its parts.
    on_phase: told the name of each phase when it begins. fly_rate_limit: as the Fly server takes it, such as "1/s" or "off".
    trust: a file with certificates that the functions trust, for mail servers of this computer.
    Raises LocalCloudError, with one line for a person, when it cannot start.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    logs: Path = STATE / "logs"
    on_phase: Callable[[str], None] = lambda _: None
    fly_rate_limit: str = "1/s"
    trust: Path | None = None

    stack: Stack = field(init=False)
    phases: dict[str, float] = field(init=False, default_factory=dict)
    """Seconds that each phase of the start took."""
    fly_token: str = field(init=False, default_factory=lambda: secrets.token_hex(24))
    fly_port: int = field(init=False, default=0)
    _held: ExitStack = field(init=False, repr=False, default_factory=ExitStack)
    _clients: dict[str, Any] = field(init=False, repr=False, default_factory=dict)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            close_undisturbed(self._held)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close_undisturbed(self._held)

    @property
    def endpoint_url(self) -> str:
        """Where AWS is."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def fly_api_url(self) -> str:
        """Where the Fly Machines API is."""
        return f"http://{LOOPBACK}:{self.fly_port}/v1"

    @property
    def api_url(self) -> str:
        """Where the HTTP API is: a function URL's own host name does not resolve here, its path form does."""
        url_id = self.stack.outputs["ApiUrl"].removeprefix("https://").partition(".")[0]
        return f"{self.endpoint_url}/_aws/lambda-url/{url_id}"

    @property
    def page_url(self) -> str:
        """Where the page is, for a browser on this computer; its addresses are relative, so the slash counts."""
        return f"{self.api_url}/"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use this cloud: the SDK's variables, and mailtide's settings for its command line."""
        return {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "MAILTIDE_BUCKET": self.stack.bucket,
            **{f"MAILTIDE_{name.upper()}_QUEUE_URL": self.stack.queue_url(name) for name in QUEUES},
            "MAILTIDE_FLY_API_URL": self.fly_api_url,
            "MAILTIDE_FLY_APP": FLY_APP,
            "MAILTIDE_FLY_TOKEN": self.fly_token,
            "MAILTIDE_MACHINE_IMAGE": IMAGE,
            **{f"MAILTIDE_{name.upper()}_TABLE": self.stack.outputs[f"{name.capitalize()}Table"] for name in TABLES},
            "MAILTIDE_SECRETS_KMS_KEY_ID": self.stack.outputs["SecretsKeyArn"],
            "MAILTIDE_API_TOKENS_SECRET": self.stack.outputs["ApiTokensSecret"],
            "MAILTIDE_WEBHOOK_KEY_SECRET": self.stack.outputs["WebhookKeySecret"],
            "MAILTIDE_WEBHOOK_LOOPBACK": "true",
            "MAILTIDE_API_URL": self.api_url,
            **self._warmup_settings(),
        }

    def _warmup_settings(self) -> dict[str, str]:
        """WARMUP_ variables of this deployment that are not the defaults: the command line counts with the same ones."""
        given = {**PARAMETERS, **self.parameters}
        names = {f"Warmup{_camel(name)}": f"WARMUP_{name.upper()}" for name in WarmupSettings.model_fields}
        return {names[parameter]: value for parameter, value in given.items() if parameter in names}

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3's own type differs by service
        """A boto3 client of this cloud; there is one a service, since making it takes longer than a request."""
        if service not in self._clients:
            self._clients[service] = self._make_client(service)
        return self._clients[service]

    def _make_client(self, service: str) -> Any:  # noqa: ANN401 - the same
        make: Callable[..., Any] = boto3.client
        return make(
            service,
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}),
        )

    def _start(self) -> None:
        if not all((TOOLS / part).exists() for part in ("ministack", "sam", "runtime")):
            raise LocalCloudError("the local cloud's tools are missing; run: make setup")
        if self.port:
            require_free(self.port)
        self.logs.mkdir(parents=True, exist_ok=True)
        home = self._make_home()
        tool = sam.Sam(ROOT, self.logs, self._keep)
        with tool.alone(on_wait=lambda: self.on_phase("wait")):
            self.on_phase("build")
            began = time.monotonic()
            build = tool.build()
            with self._phase("start"):
                self._start_aws(home)
                self._start_fly(home)
            sam.finish(build, sam.BUILD_TIMEOUT_S)
            tool.slim()
            self.phases["build"] = time.monotonic() - began
            with self._phase("deploy"):
                self._deploy(tool)

    def _keep(self, child: Child) -> Child:
        self._held.callback(child.stop)
        return child

    def _make_home(self) -> Path:
        """A folder for this cloud alone, gone with it; those of clouds that were killed are swept away first."""
        homes = homes_folder()
        homes.mkdir(parents=True, exist_ok=True)
        for old in homes.iterdir():
            if not Path(f"/proc/{old.name.partition('-')[0]}").exists():
                shutil.rmtree(old, ignore_errors=True)
        home = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=homes))
        self._held.callback(shutil.rmtree, home, ignore_errors=True)
        return home

    def _start_aws(self, home: Path) -> None:
        self.port = self.port or free_port()
        site_packages = next((TOOLS / "ministack").glob("lib/python3*/site-packages"))
        # Whatever stands here leaks into the functions, so there is no more than MiniStack needs.
        env = {
            "PATH": os.defpath,
            "HOME": str(home),
            "TMPDIR": str(home),
            "STATE_DIR": str(home / "state"),
            "S3_DATA_DIR": str(home / "s3"),
            "LAMBDA_EXECUTOR": "local",
            "BIND_HOST": LOOPBACK,
            "MINISTACK_HOST": LOOPBACK,
            "GATEWAY_PORT": str(self.port),
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            # Functions get credentials of their own roles, and the policies of template.yaml are enforced.
            "AUTH": "true",
            **({"SSL_CERT_FILE": str(self.trust.resolve())} if self.trust else {}),
        }
        command = [str(TOOLS / "runtime/bin/python"), "-P", str(ROOT / "localstack/run_ministack.py")]
        child = self._keep(
            Child("MiniStack", [*command, str(site_packages)], env=env, log=self.logs / "ministack.log", cwd=home)
        )
        wait_until(lambda: _answers(f"{self.endpoint_url}/_ministack/health"), child=child, timeout_s=60)

    def _start_fly(self, home: Path) -> None:
        port_file = home / "fly-port"
        bin_dir = ROOT / ".venv" / "bin"
        command = [
            *(str(bin_dir / "python"), "-m", "localstack.fly", "--port", "0", "--port-file", str(port_file)),
            *("--token", self.fly_token, "--image", f"{IMAGE}={bin_dir / 'mailtide'} machine"),
            *("--log-dir", str(self.logs / "machines"), "--rate-limit", self.fly_rate_limit),
        ]
        shutil.rmtree(self.logs / "machines", ignore_errors=True)
        (self.logs / "machines").mkdir()
        env = {"PATH": os.defpath, "HOME": str(home), "TMPDIR": str(home)}
        child = self._keep(Child("the Fly Machines server", command, env=env, log=self.logs / "fly.log", cwd=ROOT))
        wait_until(port_file.exists, child=child, timeout_s=60)
        self.fly_port = int(port_file.read_text())

    def _put_token(self) -> None:
        self.client("secretsmanager").create_secret(Name=TOKEN_SECRET, SecretString=self.fly_token)

    def _deploy(self, tool: sam.Sam) -> None:
        self._put_token()
        self.client("s3").create_bucket(Bucket=ARTIFACTS)
        parameters = {**PARAMETERS, "FlyApiUrl": self.fly_api_url, **self.parameters}
        environment = {**CREDENTIALS, "AWS_ENDPOINT_URL": self.endpoint_url}
        sam.finish(tool.deploy(STACK, ARTIFACTS, parameters, environment), sam.DEPLOY_TIMEOUT_S)
        answer = self.client("cloudformation").describe_stacks(StackName=STACK)
        outputs = answer["Stacks"][0]["Outputs"]
        self.stack = Stack({output["OutputKey"]: output["OutputValue"] for output in outputs})
        self._complete()

    def _complete(self) -> None:
        told = self.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
        apply_what_is_left_out(self.client, {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in told})

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self.on_phase(name)
        began = time.monotonic()
        yield
        self.phases[name] = time.monotonic() - began


def _camel(name: str) -> str:
    """warmup_plan -> WarmupPlan"""
    return "".join(word.capitalize() for word in name.split("_"))


def _answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
