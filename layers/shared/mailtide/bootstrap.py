"""Everything is wired here, once per process, when it is first needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pydantic import SecretStr

from mailtide.adapters.clock import SystemClock
from mailtide.adapters.events import EventBridgeAnnouncer, make_events_client
from mailtide.adapters.queues import SqsQueues, make_sqs_client
from mailtide.adapters.s3 import S3Bucket, make_client
from mailtide.adapters.s3_parts import S3Parts
from mailtide.adapters.secrets import read_secret
from mailtide.machines import MachineInfo, MachineRequest, Setup, VolumeInfo
from mailtide.ports import Clock, MachineHost, MachinePool
from mailtide.runs.services import Services
from mailtide.settings import Settings, load_estimate_settings, load_settings

if TYPE_CHECKING:
    from mailtide.adapters.fly.host import FlyMachineHost
    from mailtide.adapters.fly.pool import FlyMachinePool
    from mailtide.adapters.hooks import WebHooks
    from mailtide.adapters.s3_versions import VersionedS3Bucket


class _LazyFly:
    """The Fly app, whose token is fetched when a machine is first asked for: most calls never need it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def _fly(self) -> "tuple[FlyMachineHost, FlyMachinePool]":
        token = self._settings.fly_token or read_secret(self._settings.fly_token_secret)
        return _fly(self._settings.fly_app, token.get_secret_value(), self._settings.fly_api_url)

    def _host(self) -> "FlyMachineHost":
        return self._fly()[0]

    def _pool(self) -> "FlyMachinePool":
        return self._fly()[1]

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

    def check_app(self) -> str:
        """See mailtide.ports.MachinePool."""
        return self._pool().check_app()

    def add(
        self, name: str, regions: tuple[str, ...], setup: Setup, *, volume_name: str, volume_gb: int
    ) -> MachineInfo | None:
        """See mailtide.ports.MachinePool."""
        return self._pool().add(name, regions, setup, volume_name=volume_name, volume_gb=volume_gb)

    def hand_over(
        self, machine_id: str, version: str, setup: Setup, *, otherwise: Setup | None = None
    ) -> MachineInfo | None:
        """See mailtide.ports.MachinePool."""
        return self._pool().hand_over(machine_id, version, setup, otherwise=otherwise)

    def stop(self, machine_id: str) -> None:
        """See mailtide.ports.MachinePool."""
        self._pool().stop(machine_id)

    def volumes(self) -> list[VolumeInfo]:
        """See mailtide.ports.MachinePool."""
        return self._pool().volumes()

    def remove_volume(self, volume_id: str) -> None:
        """See mailtide.ports.MachinePool."""
        self._pool().remove_volume(volume_id)


@cache
def _fly(app: str, token: str, base_url: str) -> "tuple[FlyMachineHost, FlyMachinePool]":
    # An HTTP client is a sixth of a cold start, and most calls need none.
    from mailtide.adapters.fly.client import FlyClient
    from mailtide.adapters.fly.host import FlyMachineHost
    from mailtide.adapters.fly.pool import FlyMachinePool

    client = FlyClient(app, SecretStr(token), base_url=base_url)
    return FlyMachineHost(client), FlyMachinePool(client)


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
    fly = _LazyFly(settings)
    return Services(
        bucket=bucket(),
        queues=queues(),
        machines=fly,
        pool=fly,
        announcer=EventBridgeAnnouncer(make_events_client(), settings.event_bus_name, settings.bucket),
        clock=SystemClock(),
        settings=settings,
        hooks=_LazyHooks(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolTools:
    """What looking after the pool needs; a `mailtide.runs.pool.kept.PoolServices`."""

    machines: MachineHost
    pool: MachinePool
    settings: Settings
    clock: Clock


@cache
def pool_tools() -> PoolTools:
    """The pool alone, for people's commands: no bucket is needed."""
    settings = load_estimate_settings()
    fly = _LazyFly(settings)
    return PoolTools(machines=fly, pool=fly, settings=settings, clock=SystemClock())
