"""Every setting of the run functions, read from the environment once, validated, frozen.

The variables carry the prefix MAILTIDE_ and the name of the field in capitals; docs/settings.md lists them.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableError

from mailtide.errors import SettingsError
from mailtide.machines import MachineSize

type Step = Literal["read", "decide", "parts", "settle", "compare", "write"]
"""Of the pass. A merge reads the parts of chunks and settles what they decided; one machine's decide has that in it."""

WHERE_TO_FIND = "the outputs of the deployed stack name it"


class SizeTier(BaseModel):
    """Up to how many contacts a machine of this size is taken, and what it costs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    below_contacts: int | None
    size: MachineSize
    usd_per_s: float


SIZE_TABLE: tuple[SizeTier, ...] = (
    SizeTier(
        below_contacts=10_000, size=MachineSize(cpu_kind="shared", cpus=1, memory_mb=1_024), usd_per_s=0.000_002_2
    ),
    SizeTier(
        below_contacts=100_000, size=MachineSize(cpu_kind="shared", cpus=2, memory_mb=2_048), usd_per_s=0.000_004_4
    ),
    SizeTier(
        below_contacts=500_000, size=MachineSize(cpu_kind="performance", cpus=2, memory_mb=4_096), usd_per_s=0.000_023_9
    ),
    SizeTier(
        below_contacts=2_000_000,
        size=MachineSize(cpu_kind="performance", cpus=4, memory_mb=8_192),
        usd_per_s=0.000_047_8,
    ),
    SizeTier(
        below_contacts=None, size=MachineSize(cpu_kind="performance", cpus=8, memory_mb=16_384), usd_per_s=0.000_095_7
    ),
)
"""Machines by number of contacts; Fly's prices of US East, November 2026, per second started."""

CHUNK_SIZE = MachineSize(cpu_kind="performance", cpus=2, memory_mb=4_096)
MERGE_SIZE = MachineSize(cpu_kind="performance", cpus=4, memory_mb=8_192)
POOL_MACHINE_SIZE = MachineSize(cpu_kind="performance", cpus=4, memory_mb=8_192)
STEPS_CONTACTS_PER_S: dict[Step, float] = {
    "read": 800_000,
    "decide": 800_000,
    "parts": 10_000_000,
    "settle": 1_000_000,
    "compare": 2_000_000,
    "write": 210_000,
}
"""Measured with one thread on AMD EPYC (`mailtide calibrate --threads 1`): the first schedule of a file."""


class StorageSettings(BaseSettings):
    """Where the bucket is, when it is not on AWS: every client of S3 follows these."""

    model_config = SettingsConfigDict(
        env_prefix="MAILTIDE_", frozen=True, extra="ignore", env_ignore_empty=True, allow_inf_nan=False
    )

    s3_endpoint_url: str = Field(
        default="", description="S3 endpoint of the bucket, such as https://t3.storage.dev; empty for AWS"
    )
    s3_region: str = Field(default="", description="Region for that endpoint, such as auto; empty for the SDK's own")
    s3_credentials_secret: str = Field(
        default="",
        description="Name of the secret with the keys for that endpoint; empty for the SDK's own credentials",
    )


class Settings(StorageSettings):
    """What template.yaml hands to the functions, and the CLI reads from the shell."""

    bucket: str = Field(description="The bucket that holds everything")
    plan_queue_url: str = Field(default="", description="Queue of plan_run")
    launch_queue_url: str = Field(default="", description="Queue of launch_machine")
    collect_queue_url: str = Field(default="", description="Queue of collect_parts")
    finish_queue_url: str = Field(default="", description="Queue of finish_run")
    watch_queue_url: str = Field(default="", description="Queue of watch_runs")
    webhook_queue_url: str = Field(default="", description="Queue of send_webhook")
    webhook_key_secret: str = Field(
        default="mailtide/webhook-key", description="Name of the secret that signing secrets are derived from"
    )
    webhook_loopback: bool = Field(
        default=False, description="Let webhooks lead to this machine, by plain HTTP too; for the local cloud alone"
    )
    event_bus_name: str = Field(default="default", description="Bus that RunFinished goes out on")

    fly_api_url: str = Field(default="https://api.machines.dev/v1", description="Fly Machines API")
    fly_app: str = Field(default="mailtide", description="Fly app that owns the machines")
    fly_token_secret: str = Field(default="mailtide/fly-token", description="Name of the secret that holds Fly's token")
    fly_token: SecretStr | None = Field(default=None, description="The token itself, for the command line only")
    fly_regions: Annotated[tuple[str, ...], NoDecode] = Field(
        default=("iad", "ord", "ewr"), description="Regions in order of preference, separated by commas"
    )
    machine_image: str = Field(default="registry.fly.io/mailtide:latest", description="Image of the machines")
    machine_s3_endpoint_url: str = Field(
        default="", description="S3 endpoint as machines see it; empty for the functions' own"
    )

    lock_ttl_s: int = Field(default=600, ge=30, le=86_400, description="How long a lock holds without renewal")
    task_timeout_s: int = Field(default=600, ge=5, le=86_400, description="How long a machine may take for one try")
    run_timeout_s: int = Field(default=3_600, ge=10, le=604_800, description="When watch_runs fails a run")
    max_tries: int = Field(default=3, ge=1, le=10, description="Tries of one task")
    deadline_s: int = Field(default=60, ge=1, le=86_400, description="From planned to result.json, as a goal")
    watch_stall_s: int = Field(default=60, ge=0, le=86_400, description="Silence after which a step is queued again")
    url_ttl_s: int = Field(default=3_600, ge=60, le=604_800, description="How long presigned URLs hold")
    brake_share: float = Field(
        default=0.3,
        ge=0.01,
        le=1_000,
        description="Share of planned rows or contacts whose change holds a run; 1000 never holds",
    )
    brake_min: int = Field(
        default=100, ge=0, le=1_000_000_000, description="Rows or contacts up to which a change never holds a run"
    )
    max_mails_per_contact: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Mails that campaigns and rules may ask for, on the average of the contacts; beyond it a run fails at once",
    )
    size_table: tuple[SizeTier, ...] = Field(
        default=SIZE_TABLE, min_length=1, description="Machines and prices, as JSON"
    )
    chunking: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Several machines for a run: where that meets the deadline for less, or not by choice",
    )
    chunk_from_contacts: int = Field(
        default=500_000, ge=2, description="Contacts from which on several machines are considered"
    )
    chunk_contacts: int = Field(
        default=100_000, ge=1, description="Contacts of a chunk; more where there would be too many chunks"
    )
    max_chunks: int = Field(default=8, ge=2, le=64, description="Chunk machines of a run, at most")
    chunk_size: MachineSize = Field(default=CHUNK_SIZE, description="Machine of a chunk, of the size table, as JSON")
    merge_size: MachineSize = Field(
        default=MERGE_SIZE, description="Smallest machine that merges chunks, of the size table, as JSON"
    )
    launches_per_s: float = Field(default=1.0, gt=0, le=100, description="Machines that Fly creates a second, per app")
    launch_burst: int = Field(
        default=3, ge=1, le=100, description="Machines that Fly creates at once before that counts"
    )
    steps_contacts_per_s: dict[Step, Annotated[float, Field(gt=0)]] = Field(
        default=STEPS_CONTACTS_PER_S,
        description="Contacts a second of each step of the pass on one processor, as JSON, where nothing was measured",
    )
    parallel_share: float = Field(
        default=0.52, ge=0, le=1, description="Part of the pass's processor time that further processors share"
    )
    shared_cpu_share: float = Field(
        default=0.0625, gt=0, le=1, description="Part of a processor that a shared one is sure of"
    )
    pool_size: int = Field(
        default=0, ge=0, le=50, description="Stopped machines that are kept for the next task; 0 keeps none"
    )
    pool_machine_size: Annotated[MachineSize, NoDecode] = Field(
        default=POOL_MACHINE_SIZE,
        description="What they are, of the size table: tasks of this size use them. As JSON, or short: performance-4x/8192",
    )
    pool_volume_gb: int = Field(
        default=10, ge=0, le=500, description="Volume of each, for the database that it had last; 0 for none"
    )
    pool_idle_s: int = Field(
        default=604_800,
        ge=60,
        le=31_536_000,
        description="How long a kept machine may be without work before it is removed",
    )
    pool_usd_per_gb_month: float = Field(
        default=0.15, ge=0, description="What a volume, and the root file system of a stopped machine, cost"
    )
    pool_rootfs_gb: float = Field(default=0.6, ge=0, description="Root file system of a stopped machine: its image")
    boot_s: float = Field(default=3.0, ge=0, description="Time from launch to the first line of a machine")
    handover_s: float = Field(
        default=1.0, ge=0, description="Time from the end of a step to the next: event, queue, function"
    )
    transfer_bytes_per_s: float = Field(
        default=60_000_000, gt=0, description="Speed between bucket and machine, where nothing was measured"
    )
    schedule_bytes_per_contact: int = Field(
        default=780, ge=0, description="What its schedule adds to the database for each contact"
    )
    candidate_bytes_per_contact: int = Field(default=6, ge=0, description="What a chunk delivers for each contact")
    egress_usd_per_gb: float = Field(default=0.09, ge=0, description="S3 to Fly over the internet; 0 for Tigris")
    usd_per_1000_requests: float = Field(default=0.005, ge=0, description="S3 PUT, COPY, POST and LIST requests")

    @field_validator("fly_regions", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("pool_machine_size", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        """JSON loses its quotes on the way through some command lines."""
        if not isinstance(value, str):
            return value
        found = re.fullmatch(r"(shared|performance)(?:-cpu)?-([0-9]{1,2})x/([0-9]{3,6})", value)
        if found is None:
            return MachineSize.model_validate_json(value)
        return MachineSize.model_validate({"cpu_kind": found[1], "cpus": int(found[2]), "memory_mb": int(found[3])})

    @field_validator("steps_contacts_per_s")
    @classmethod
    def _complete(cls, value: dict[Step, float]) -> dict[Step, float]:
        return STEPS_CONTACTS_PER_S | value


@cache
def load_settings() -> Settings:
    """The settings of this process. SettingsError names the first variable that is missing or impossible."""
    return _checked(Settings)


def load_storage_settings() -> StorageSettings:
    """Where the bucket is. SettingsError as load_settings."""
    return _checked(StorageSettings)


def load_estimate_settings() -> Settings:
    """The settings where no bucket is needed, for estimates alone. SettingsError as load_settings."""
    return _checked(lambda: Settings(bucket="-"))


def _checked[T: BaseSettings](read: Callable[[], T]) -> T:
    try:
        return read()
    except UnreadableError as error:
        named = re.search(r'field "(\w+)"', str(error))
        name = named[1].upper() if named else "SIZE_TABLE"
        raise SettingsError(f"The setting MAILTIDE_{name} is not usable: it is not JSON.") from None
    except ValidationError as error:
        first = error.errors()[0]
        name, *inside = (str(part) for part in first["loc"])
        where = f" (at {'.'.join(inside)})" if inside else ""
        what = (
            f"is missing; {WHERE_TO_FIND}"
            if first["type"] == "missing" and not inside
            else f"is not usable{where}: {first['msg'].rstrip('.')}"
        )
        raise SettingsError(f"The setting MAILTIDE_{name.upper()} {what}.") from None
