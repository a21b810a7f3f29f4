"""The rules (spec §3): every effective value, the packaged files, and how one overrides the other.

Numbers with a fraction are Decimal, so that floor(N x fraction) is exact. What a file may say, and what it is refused for,
`rules_file` knows; the packaged files are at hand as JSON too (`build_packaged_rules`), which needs no parser and no model.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from mailtide.errors import RulesError

CAMPAIGN_PREFIX = "campaign_"
FOLLOWUP_PREFIX = "followup_"
FOLLOWUP_COLD = "followup_1_cold"
FOLLOWUP_CLICKED = "followup_2_clicked_no_hq"
FOLLOWUP_NO_YES = "followup_3_hq_no_yes"
FOLLOWUP_WITH_YES = "followup_4_hq_with_yes"
ANNIVERSARY_TYPES = ("birthday", "effective_date", "aep", "post_window")
FOLLOWUP_TYPES = (FOLLOWUP_COLD, FOLLOWUP_CLICKED, FOLLOWUP_NO_YES, FOLLOWUP_WITH_YES)
YEAR_ROUND = "year_round"
PACKAGED = ("default", "origin")
DATA = Path(__file__).with_name("data")
_DECIMALS = ("daily_cap_fraction", "overage_threshold", "ed_soft_limit_fraction")
_DATES = ("valid_from", "valid_to", "verified_on")


@dataclass(frozen=True, kw_only=True)
class Window:
    """One exclusion window of a state (spec §5); days are inclusive. Only a year_round window has no `before`."""

    kind: Literal["birthday", "effective_date", "year_round"]
    before: int | None = None
    after: int | None = None
    month_start: bool = False
    min_age: int | None = None
    max_age: int | None = None
    valid_from: date | None = None
    valid_to: date | None = None
    source: str | None = None
    verified_on: date | None = None
    confidence: Literal["high", "medium", "low"] | None = None


@dataclass(frozen=True, kw_only=True)
class Priorities:
    """Priority by type, lower first; a type that is not named has 10."""

    birthday: int = 10
    effective_date: int = 10
    aep: int = 10
    post_window: int = 10


@dataclass(frozen=True, kw_only=True)
class Templates:
    """Template names of one type; None is no template."""

    email: str | None = None
    sms: str | None = None


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Every effective value of a rules file (spec §3). Build it with `load_rules`, which checks and fills in what is not set."""

    timezone: str
    send_time: str
    birthday_days_before: int
    effective_date_days_before: int
    aep_dates: tuple[str, ...]
    pre_window_extension_days: int
    catch_up_spread_days: int
    daily_cap_fraction: Decimal | None
    overage_threshold: Decimal
    ed_soft_limit_fraction: Decimal
    ed_soft_limit: int | None
    ed_smoothing_days: int
    max_emails_per_period: int | None
    period_days: int
    followup_days_after: int
    followup_lookback_days: int
    priorities: Priorities
    templates: dict[str, Templates]
    states: dict[str, tuple[Window, ...]]
    cadence: Literal["daily", "weekly", "monthly"]
    run_at_hour: int
    sync: Literal["replace", "changeset", "both"]

    @staticmethod
    def of(values: Mapping[str, Any]) -> "Rules":
        """The rules that plain values say, all of them there and checked already."""
        return Rules(
            **{
                **values,
                "aep_dates": tuple(values["aep_dates"]),
                "priorities": Priorities(**values["priorities"]),
                "templates": {name: Templates(**templates) for name, templates in values["templates"].items()},
                "states": {
                    name: tuple(Window(**window) for window in windows) for name, windows in values["states"].items()
                },
            }
        )

    def plain(self) -> dict[str, Any]:
        """The effective values as dicts, tuples and scalars."""
        return asdict(self)

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the effective values: equal for files that mean the same, whatever their order or comments."""
        import hashlib

        canonical = json.dumps(self.plain(), sort_keys=True, separators=(",", ":"), default=_canonical)
        return hashlib.sha256(canonical.encode()).hexdigest()


def _canonical(value: object) -> str:
    return str(value.normalize()) if isinstance(value, Decimal) else str(value)


@cache
def packaged_rules(name: str = "default") -> str:
    """The text of a packaged rules file: `default`, or `origin`, the windows of the older system. Raises RulesError."""
    if name not in PACKAGED:
        raise RulesError(f"There are no packaged rules named {name!r}; there are default and origin.")
    return (DATA / f"{name}.yaml").read_text(encoding="utf-8")


@cache
def load_packaged(name: str = "default") -> Rules:
    """What `load_rules` makes of the text of a packaged file, without reading YAML. name: one of PACKAGED."""
    values: dict[str, Any] = json.loads((DATA / f"{name}.json").read_bytes())
    values |= {key: Decimal(values[key]) for key in _DECIMALS if values[key] is not None}
    for windows in values["states"].values():
        for window in windows:
            window |= {key: date.fromisoformat(window[key]) for key in _DATES if key in window}
    digest = values.pop("sha256")
    rules = Rules.of(values)
    rules.__dict__["sha256"] = digest
    return rules


def load_rules(text: str | None = None) -> Rules:
    """The rules of a file's text over the packaged default; None is the packaged default itself.

    Raises RulesError, one sentence that names the key and the value.
    """
    if text is None:
        return load_packaged()
    from mailtide.rules.rules_file import parse_rules

    return parse_rules(text)
