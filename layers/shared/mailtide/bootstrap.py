"""Everything is wired here, once per process, when it is first needed."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from pydantic import SecretStr

from mailtide.adapters.clock import SystemClock
from mailtide.adapters.events import EventBridgeAnnouncer, make_events_client
from mailtide.adapters.queues import SqsQueues, make_sqs_client
from mailtide.adapters.s3 import S3Bucket, make_client
from mailtide.adapters.s3_parts import S3Parts
from mailtide.adapters.secrets import read_secret
from mailtide.machines import MachineInfo, MachineRequest
from mailtide.runs.services import Services
from mailtide.settings import Settings, load_settings

if TYPE_CHECKING:
    from mailtide.adapters.fly.host import FlyMachineHost
    from mailtide.adapters.hooks import WebHooks
    from mailtide.adapters.s3_versions import VersionedS3Bucket


class _LazyMachineHost:
    """The Fly app, whose token is fetched when a machine is first asked for: most calls never need it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def _host(self) -> "FlyMachineHost":
        token = self._settings.fly_token or read_secret(self._settings.fly_token_secret)
        return _fly_host(self._settings.fly_app, token.get_secret_value(), self._settings.fly_api_url)

    def create(self, request: MachineRequest) -> MachineInfo:
        """See mailtide.ports.MachineHost."""
        return self._host().create(request)

    def get(self, machine_id: str) -> MachineInfo:
        """See mailtide.ports.MachineHost."""
        return self._host().get(machine_id)

    def find(self, metadata: dict[str, str]) -> list[MachineInfo]:
        """See mailtide.ports.MachineHost."""
        return self._host().find(metadata)

    def destroy(self, machine_id: str) -> None:
        """See mailtide.ports.MachineHost."""
        self._host().destroy(machine_id)


@cache
def _fly_host(app: str, token: str, base_url: str) -> "FlyMachineHost":
    # An HTTP client is a sixth of a cold start, and most calls need none.
    from mailtide.adapters.fly.client import FlyClient
    from mailtide.adapters.fly.host import FlyMachineHost

    return FlyMachineHost(FlyClient(app, SecretStr(token), base_url=base_url))


@cache
def bucket() -> S3Bucket:
    """The bucket; URLs for machines are signed for the endpoint that machines see."""
    settings = load_settings()
    public = make_client(settings.machine_s3_endpoint_url) if settings.machine_s3_endpoint_url else None
    return S3Bucket(settings.bucket, make_client(), public_client=public)


@cache
def versioned_bucket() -> "VersionedS3Bucket":
    """The bucket with its kept versions, for people's commands."""
    from mailtide.adapters.s3_versions import VersionedS3Bucket

    return VersionedS3Bucket(load_settings().bucket, make_client())


@cache
def parts() -> S3Parts:
    """Multipart uploads to the bucket."""
    return S3Parts(load_settings().bucket, make_client())


@cache
def queues() -> SqsQueues:
    """The queues of the run functions."""
    return SqsQueues(make_sqs_client(), load_settings())


class _LazyHooks:
    """Webhooks, whose HTTP client few calls need."""

    def signing_key(self) -> bytes:
        """See mailtide.ports.Hooks."""
        return hooks().signing_key()

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """See mailtide.ports.Hooks."""
        return hooks().post(url, body, headers)


@cache
def hooks() -> "WebHooks":
    """Where webhooks are posted from."""
    from mailtide.adapters.hooks import WebHooks

    settings = load_settings()
    return WebHooks(settings.webhook_key_secret, loopback=settings.webhook_loopback)


@cache
def services() -> Services:
    """What the use cases of a run are given."""
    settings = load_settings()
    return Services(
        bucket=bucket(),
        queues=queues(),
        machines=_LazyMachineHost(settings),
        announcer=EventBridgeAnnouncer(make_events_client(), settings.event_bus_name),
        clock=SystemClock(),
        settings=settings,
        hooks=_LazyHooks(),
    )
