"""Every setting of the run functions, read from the environment once, validated, frozen.

The variables carry the prefix MAILTIDE_ and the name of the field in capitals; docs/settings.md lists them.
"""

from collections.abc import Callable
from functools import cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableError

from mailtide.errors import SettingsError
from mailtide.machines import MachineSize

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


class Settings(BaseSettings):
    """What template.yaml hands to the functions, and the CLI reads from the shell."""

    model_config = SettingsConfigDict(env_prefix="MAILTIDE_", frozen=True, extra="ignore", env_ignore_empty=True)

    bucket: str = Field(description="The bucket that holds everything")
    plan_queue_url: str = Field(default="", description="Queue of plan_run")
    launch_queue_url: str = Field(default="", description="Queue of launch_machine")
    collect_queue_url: str = Field(default="", description="Queue of collect_parts")
    finish_queue_url: str = Field(default="", description="Queue of finish_run")
    watch_queue_url: str = Field(default="", description="Queue of watch_runs")
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
    contacts_per_s: int = Field(default=100_000, ge=1, description="Measured speed of the pass, for estimates")
    boot_s: float = Field(default=3.0, ge=0, description="Time from launch to the first line of a machine")
    size_table: tuple[SizeTier, ...] = Field(
        default=SIZE_TABLE, min_length=1, description="Machines and prices, as JSON"
    )
    egress_usd_per_gb: float = Field(default=0.09, ge=0, description="S3 to Fly over the internet; 0 for Tigris")
    usd_per_1000_requests: float = Field(default=0.005, ge=0, description="S3 PUT, COPY, POST and LIST requests")

    @field_validator("fly_regions", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


@cache
def load_settings() -> Settings:
    """The settings of this process. SettingsError names the first variable that is missing or impossible."""
    return _checked(Settings)


def load_estimate_settings() -> Settings:
    """The settings where no bucket is needed, for estimates alone. SettingsError as load_settings."""
    return _checked(lambda: Settings(bucket="-"))


def _checked(read: Callable[[], Settings]) -> Settings:
    try:
        return read()
    except UnreadableError:
        raise SettingsError("The setting MAILTIDE_SIZE_TABLE is not usable: it is not JSON.") from None
    except ValidationError as error:
        first = error.errors()[0]
        name, *inside = (str(part) for part in first["loc"])
        where = f" (at {'.'.join(inside)})" if inside else ""
        what = (
            f"is missing; {WHERE_TO_FIND}"
            if first["type"] == "missing"
            else f"is not usable{where}: {first['msg'].rstrip('.')}"
        )
        raise SettingsError(f"The setting MAILTIDE_{name.upper()} {what}.") from None
