"""`mailtide rules`: the values and the exclusion windows of a set of rules."""

import json
from dataclasses import asdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mailtide.cli.files import rules_from
from mailtide.errors import SettingsError

if TYPE_CHECKING:
    from mailtide.rules.config import Rules, Window


@click.command()
@click.option("--state", metavar="CODE", help="Only the windows of this state, like CA; without it, those of all.")
@click.option(
    "--rules", default="default", show_default=True, metavar="FILE|default|origin",
    help="A YAML file of rules, or a packaged set: the default, or the windows of the older system.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the effective rules as JSON.")
def rules(state: str | None, rules: str, *, as_json: bool) -> None:
    """Show the effective rules: every value, and the exclusion windows with their source and when it was checked.

    What a FILE does not set has the packaged value. Days before and after an anchor are inclusive;
    pre_window_extension_days comes on top of the days before.

    Example: mailtide rules --state CA
    """
    code = _state(state)
    effective = rules_from(rules)
    if as_json:
        click.echo(json.dumps(_as_json(effective, code), indent=2, default=_plain))
        return
    console = Console(highlight=False, markup=False)
    if code is None:
        console.print(_values_table(effective))
    windows = _windows(effective, code)
    if windows:
        console.print(_windows_table(windows))
        console.print(f"pre_window_extension_days {effective.pre_window_extension_days} come before each dated window.")
    else:
        console.print(f"{code} has no exclusion windows." if code else "No state has exclusion windows.")


def _state(text: str | None) -> str | None:
    from mailtide.rules.states import STATE_INDEX

    code = None if text is None else text.strip().upper()
    if code is not None and code not in STATE_INDEX:
        raise SettingsError(f"--state is {text!r}; it must be one of the 50 states or DC, like CA.")
    return code


def _windows(effective: "Rules", code: str | None) -> dict[str, tuple["Window", ...]]:
    return {name: windows for name, windows in sorted(effective.states.items()) if code in (None, name) and windows}


def _as_json(effective: "Rules", code: str | None) -> dict[str, Any]:
    values: dict[str, Any] = {"sha256": effective.sha256} if code is None else {}
    if code is None:
        values |= {name: value for name, value in effective.plain().items() if name != "states"}
    states = {name: [asdict(window) for window in group] for name, group in _windows(effective, code).items()}
    return values | {"states": states if code is None else {code: states.get(code, [])}}


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)


def _cell(value: object) -> Text:
    """A value from a rules file, without anything that a terminal would obey."""
    text = "–" if value is None else str(value)
    return Text("".join(char if char.isprintable() else "?" for char in text))


def _values_table(effective: "Rules") -> Table:
    table = Table("key", "value")
    for name, value in effective.plain().items():
        if name not in ("states", "templates", "priorities"):
            table.add_row(name, _cell(", ".join(value) if isinstance(value, tuple) else value))
    for kind, priority in asdict(effective.priorities).items():
        table.add_row(f"priorities.{kind}", _cell(priority))
    for kind, templates in effective.templates.items():
        for medium in ("email", "sms"):
            table.add_row(_cell(f"templates.{kind}.{medium}"), _cell(getattr(templates, medium)))
    return table


def _windows_table(windows: dict[str, tuple["Window", ...]]) -> Table:
    table = Table("state", "no mail", "source", "verified on", "confidence")
    for name, group in windows.items():
        for window in group:
            cells = (window.source, window.verified_on, window.confidence)
            table.add_row(name, describe(window), *(_cell(cell) for cell in cells))
    return table


def describe(window: "Window") -> str:
    """The days of a window in words."""
    if window.kind == "year_round":
        return "all year"
    what = "birthday" if window.kind == "birthday" else "effective date"
    anchor = f"the first of the month of the {what}" if window.month_start else f"the {what}"
    words = [f"{window.before} days before to {window.after} days after {anchor}"]
    for text, value in (
        ("from age {}", window.min_age),
        ("up to age {}", window.max_age),
        ("from {} on", window.valid_from),
        ("until {}", window.valid_to),
    ):
        if value is not None:
            words.append(text.format(value))
    return ", ".join(words)
