"""GET /v1/settings: what this deployment goes by, for operators."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from aws_lambda_powertools.event_handler import Response
from pydantic import BaseModel, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from mailtide import __version__
from mailtide.api.problems import answer
from mailtide.api.resolver import ApiRouter, documented
from mailtide.api.settings import load_api_settings
from mailtide.serving import other_functions
from mailtide.settings import load_settings
from mailtide.warmup.settings import load_warmup_settings

router = ApiRouter()

NOT_HANDED = frozenset(
    {
        "event_bus_name", "fly_api_url", "fly_token_secret", "fly_regions", "machine_image",
        "machine_s3_endpoint_url", "size_table", "max_mails_per_contact", "pool_size", "pool_machine_size", "pool_volume_gb",
        "pool_idle_s",
        "placement_min_mails", "slow_inbox_share", "slow_pace", "slow_days", "quarantine_inbox_share",
        "quarantine_bounce_share", "quarantine_complaints", "graduate_inbox_share", "graduate_days", "graduated_quota",
        "pair_across_providers", "dns_check_days", "stagger_min_ms", "stagger_max_ms", "smtp_timeout_ms", "rate_limit_backoff_ms",
        "read_concurrent", "imap_timeout_ms",
    }
)  # fmt: skip
"""What only the functions of runs, of planning, the sender and the reader are handed: a function's variables have 4,096 bytes at
most, and these would be too many here. They are read off those functions, and left out where there are none."""
NEVER_SHOWN = frozenset({"fly_token"})

type Part = Literal["runs", "warm-up", "api"]


class Setting(BaseModel):
    """One setting."""

    name: str = Field(description="The variable.")
    part: Part
    value: str = Field(description="As text; of a secret only whether it is set.")
    default: str | None = Field(description="Null when there is none.")
    changed: bool = Field(description="Whether the value is not the default.")
    description: str


class SettingsInForce(BaseModel):
    """All of them."""

    version: str
    settings: tuple[Setting, ...]


@router.get(
    "/v1/settings",
    summary="Settings in force",
    operation_id="settings",
    tags=["settings"],
    responses=documented(SettingsInForce, description="Every setting.", refusals={403: "For operators alone."}),
)
def settings_in_force() -> Response[str]:
    """As this function was given them: template.yaml hands the same to the others, NOT_HANDED to some of them alone."""
    router.require_operator("This")
    elsewhere = other_functions().variables()
    sources: list[tuple[Part, BaseSettings]] = [
        ("runs", load_settings()),
        ("warm-up", load_warmup_settings()),
        ("api", load_api_settings()),
    ]
    found = [one for part, source in sources for one in settings_of(part, source, elsewhere)]
    return answer(SettingsInForce(version=__version__, settings=tuple(found)))


def settings_of(part: Part, source: BaseSettings, elsewhere: Mapping[str, str]) -> list[Setting]:
    """Each field, with its variable, its value and its default. elsewhere: variables of other functions, for NOT_HANDED."""
    prefix = source.model_config.get("env_prefix", "")
    found = []
    for name, field in type(source).model_fields.items():
        variable = f"{prefix}{name.upper()}"
        if name in NEVER_SHOWN or (name in NOT_HANDED and variable not in elsewhere):
            continue
        shown = _setting(part, variable, field, getattr(source, name))
        found.append(_handed(shown, elsewhere[variable]) if name in NOT_HANDED else shown)
    return found


def _handed(setting: Setting, text: str) -> Setting:
    """The same setting with what another function was handed; an empty variable leaves the default."""
    default = setting.default if setting.default is not None else "not set"
    value = text if text.strip() else default
    return setting.model_copy(update={"value": value, "changed": not _are_equal(value, default)})


def _are_equal(one: str, other: str) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return one == other


def _setting(part: Part, name: str, field: FieldInfo, value: object) -> Setting:
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    return Setting(
        name=name,
        part=part,
        value=_text(value),
        default=None if field.is_required() else _text(default),
        changed=value != default,
        description=field.description or "",
    )


def _text(value: Any) -> str:  # noqa: ANN401 - whatever a setting may be
    if isinstance(value, SecretStr):
        return "set"
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, tuple) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return json.dumps(_plain(value))


def _plain(value: Any) -> Any:  # noqa: ANN401 - likewise
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
