"""What a rules file may say (spec §3), and the sentence for what it may not."""

import json
import re
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic import StrictBool as Boolean
from pydantic import StrictInt as Integer
from pydantic import StrictStr as Text

from mailtide.errors import RulesError
from mailtide.rules.config import ANNIVERSARY_TYPES, CAMPAIGN_PREFIX, FOLLOWUP_TYPES, YEAR_ROUND, Rules, packaged_rules
from mailtide.rules.rules_yaml import parse_mapping
from mailtide.rules.states import STATE_INDEX

MAX_DAYS = 36_500
_REASONS = {
    "int_type": "a whole number is needed",
    "bool_type": "true or false is needed",
    "string_type": "text is needed",
    "tuple_type": "a list is needed",
    "dict_type": "a mapping is needed",
    "model_type": "a mapping is needed",
    "string_pattern_mismatch": "a time like 08:30:00 is needed",
}


def _decimal(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("a number is needed")
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite() or abs(number) > 1_000_000 or -int(number.as_tuple().exponent) > 30:
        raise ValueError("a finite number of at most 30 decimals is needed")
    return number


def _date(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        return date.fromisoformat(value)
    if type(value) is not date:
        raise ValueError("a date like 2026-01-31 is needed")
    return value


def _blank_is_none(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


type Days = Annotated[Integer, Field(ge=0, le=MAX_DAYS)]
type AtLeastOne = Annotated[Integer, Field(ge=1, le=2**31 - 1)]
type DaysAtLeastOne = Annotated[Integer, Field(ge=1, le=MAX_DAYS)]
type Age = Annotated[Integer, Field(ge=0, le=200)]
type Number = Annotated[Decimal, BeforeValidator(_decimal)]
type Day = Annotated[date, BeforeValidator(_date)]
type Priority = Annotated[Integer, Field(ge=-(2**63), le=2**63 - 1)]
type TemplateName = Annotated[Text | None, BeforeValidator(_blank_is_none)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Window(_Frozen):
    """One exclusion window of a state (spec §5); days are inclusive. Only a year_round window has no `before`."""

    kind: Literal["birthday", "effective_date", "year_round"]
    before: Days | None = None
    after: Days | None = None
    month_start: Boolean = False
    min_age: Age | None = None
    max_age: Age | None = None
    valid_from: Day | None = None
    valid_to: Day | None = None
    source: Text | None = None
    verified_on: Day | None = None
    confidence: Literal["high", "medium", "low"] | None = None

    @model_validator(mode="after")
    def _dated_needs_days(self) -> Self:
        if self.kind != YEAR_ROUND and (self.before is None or self.after is None):
            raise ValueError(f"a {self.kind} window needs before and after")
        return self


class Priorities(_Frozen):
    """Priority by type, lower first; a type that is not named has 10."""

    birthday: Priority = 10
    effective_date: Priority = 10
    aep: Priority = 10
    post_window: Priority = 10


class Templates(_Frozen):
    """Template names of one type; None is no template."""

    email: TemplateName = None
    sms: TemplateName = None


class RulesFile(_Frozen):
    """Every value of a rules file (spec §3)."""

    timezone: Text
    send_time: Annotated[Text, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$")]
    birthday_days_before: Days
    effective_date_days_before: Days
    aep_dates: tuple[Text, ...]
    pre_window_extension_days: Days
    catch_up_spread_days: DaysAtLeastOne
    daily_cap_fraction: Annotated[Number, Field(gt=0, le=1)] | None
    overage_threshold: Annotated[Number, Field(ge=1)]
    ed_soft_limit_fraction: Annotated[Number, Field(ge=0, le=1)]
    ed_soft_limit: AtLeastOne | None
    ed_smoothing_days: Days
    max_emails_per_period: AtLeastOne | None
    period_days: DaysAtLeastOne
    followup_days_after: Days
    followup_lookback_days: Days
    priorities: Priorities
    templates: dict[Text, Templates]
    states: dict[Text, tuple[Window, ...]]
    cadence: Literal["daily", "weekly", "monthly"]
    run_at_hour: Annotated[Integer, Field(ge=0, le=23)]
    sync: Literal["replace", "changeset", "both"]

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("no such time zone is known") from error
        return value

    @field_validator("aep_dates")
    @classmethod
    def _dates_of_some_year(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            try:
                if not re.fullmatch(r"[0-9]{2}-[0-9]{2}", entry):
                    raise ValueError(entry)
                date.fromisoformat(f"2000-{entry}")
            except ValueError as error:
                raise ValueError(f"{_shown(entry)} is no day like 09-15 that some year has") from error
        return value

    @field_validator("templates")
    @classmethod
    def _known_types(cls, value: dict[str, Templates]) -> dict[str, Templates]:
        for name in value:
            if name not in ANNIVERSARY_TYPES + FOLLOWUP_TYPES and not name.startswith(CAMPAIGN_PREFIX):
                raise ValueError(f"{_shown(name)} is no mail type")
        return value

    @field_validator("states")
    @classmethod
    def _known_states(cls, value: dict[str, tuple[Window, ...]]) -> dict[str, tuple[Window, ...]]:
        for name in value:
            if name not in STATE_INDEX:
                raise ValueError(f"{_shown(name)} is not one of the 50 states or DC")
        return value


def parse_rules(text: str) -> Rules:
    """The rules of a file's text over the packaged default. Raises RulesError, one sentence that names the key and the value."""
    return Rules.of(checked_values(text).model_dump())


def checked_values(text: str) -> RulesFile:
    """The values of a file's text over those of the packaged default. Raises RulesError."""
    try:
        return RulesFile.model_validate(_default_values() | parse_mapping(text))
    except ValidationError as error:
        raise RulesError(_sentence(error)) from None


@cache
def _default_values() -> dict[str, Any]:
    return parse_mapping(packaged_rules("default"))


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(_named(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"The rules file has the unknown key {key} (value {_shown(first['input'])})."
    reason = _REASONS.get(first["type"], first["msg"].removeprefix("Value error, "))
    return f"The rules file sets {key} to {_shown(first['input'])}: {reason[:1].lower()}{reason[1:]}."


def _named(part: int | str) -> str:
    return str(part) if isinstance(part, int) or (part.isidentifier() and len(part) <= 60) else _shown(part)


def _shown(value: object) -> str:
    text = repr(value)
    if value is None or isinstance(value, bool):
        text = json.dumps(value)
    elif isinstance(value, Decimal):
        text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
