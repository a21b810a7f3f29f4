"""One organisation as a person wants to see it."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Literal

from pydantic import BaseModel, Field

from mailtide.api.run_view import RunLine
from mailtide.contracts import Done
from mailtide.errors import BudgetExceededError, RulesError
from mailtide.ports import Bucket
from mailtide.rules.config import Rules, load_rules
from mailtide.rules.meanings import MEANINGS
from mailtide.runs import keys
from mailtide.runs.cadence import Cadence, next_due

MOST_RULES = 65_536
"""Characters of a rules file that are shown."""
_LEFT_OUT = {"states", "templates"}
"""Of the effective rules: tables of hundreds of lines (`mailtide rules` shows them)."""


class OrgLine(BaseModel):
    """One organisation in a list."""

    org: str
    has_database: bool
    last_run: RunLine | None = Field(description="The last run that dealt with its database.")
    next_run_at: datetime | None = Field(description="Of the timer; null without a database. In the past: it is due.")
    timezone: str
    cadence: Cadence
    run_at_hour: int
    rules: Literal["own", "packaged", "unusable"] = Field(
        description="Unusable ones make the next run fail; the packaged ones say when that is."
    )
    rules_problem: str | None = None


class Finding(BaseModel):
    """One reason that the pass counted."""

    name: str
    count: int
    meaning: str


class Quality(BaseModel):
    """What the last run that read the database found in it."""

    run: str
    as_of: date | None
    contacts: int
    eligible: int
    findings: tuple[Finding, ...] = Field(description="Contacts and values that are not as they should be.")
    notes: tuple[Finding, ...] = Field(description="What else was counted, such as mails that the rules moved.")
    skips: tuple[Finding, ...] = Field(description="Mails that are left out, by reason.")
    warnings: tuple[str, ...]


class OrgView(OrgLine):
    """One organisation in full."""

    size_bytes: int | None
    uploaded_at: datetime | None
    effective_rules: dict[str, Any] = Field(description="Without windows of states and templates.")
    rules_yaml: str | None = Field(description="Its own rules file, at most 65,536 characters of it.")
    windows_of_states: int
    quality: Quality | None


def rules_of(bucket: Bucket, org: str) -> tuple[Rules, str | None, str | None]:
    """The rules that tell when its runs are due, its own file if there is one, and what is wrong with that."""
    try:
        stored = bucket.get(keys.rules(org))
        text = stored.body.decode("utf-8") if stored else None
    except BudgetExceededError:
        return load_rules(None), None, "The rules file is far too large."
    except UnicodeDecodeError:
        return load_rules(None), None, "The rules file is not UTF-8 text."
    if text is None:
        return load_rules(None), None, None
    rules, problem = _parsed(text)
    return rules, text, problem


@lru_cache(maxsize=256)
def _parsed(text: str) -> tuple[Rules, str | None]:
    try:
        return load_rules(text), None
    except RulesError as error:
        return load_rules(None), str(error)


def line_of(
    org: str, rules: tuple[Rules, str | None, str | None], last: RunLine | None, now: datetime, *, has_database: bool
) -> OrgLine:
    """The line of an organisation."""
    effective, text, problem = rules
    due = next_due(
        now,
        timezone=effective.timezone,
        cadence=effective.cadence,
        run_at_hour=effective.run_at_hour,
        last_as_of=last.as_of if last else None,
    )
    own: Literal["own", "packaged"] = "own" if text is not None and text.strip() not in {"", "{}"} else "packaged"
    return OrgLine(
        org=org,
        has_database=has_database,
        last_run=last,
        next_run_at=due if has_database else None,
        timezone=effective.timezone,
        cadence=effective.cadence,
        run_at_hour=effective.run_at_hour,
        rules="unusable" if problem else own,
        rules_problem=problem,
    )


def effective(rules: Rules) -> dict[str, Any]:
    """The rules as plain values, without the long tables."""
    values = {name: value for name, value in rules.plain().items() if name not in _LEFT_OUT}
    shown: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return shown


def quality_of(done: Done | None) -> Quality | None:
    """What a run's report says of the data; None without one."""
    report: dict[str, Any] = done.report or {} if done else {}
    if done is None or not report:
        return None
    counts = {**_counts(report, "skipped_contacts"), **_counts(report, "notes")}
    warnings = report.get("warnings")
    return Quality(
        run=done.run,
        as_of=done.as_of,
        contacts=int(report.get("contacts", 0)),
        eligible=int(report.get("eligible", 0)),
        findings=_findings({name: count for name, count in counts.items() if name in MEANINGS}),
        notes=_findings({name: count for name, count in counts.items() if name not in MEANINGS}),
        skips=_findings(_counts(report, "skips")),
        warnings=tuple(str(one) for one in warnings) if isinstance(warnings, list) else (),
    )


def _counts(report: Mapping[str, Any], name: str) -> dict[str, int]:
    found = report.get(name)
    pairs = found.items() if isinstance(found, dict) else ()
    return {str(key): value for key, value in pairs if isinstance(value, int) and value}


def _findings(counts: Mapping[str, int]) -> tuple[Finding, ...]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Finding(name=name, count=count, meaning=_meaning(name)) for name, count in ordered)


def _meaning(name: str) -> str:
    words = name.replace("_", " ")
    return MEANINGS.get(name, f"{words[:1].upper()}{words[1:]}.")
