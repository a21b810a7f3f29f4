"""The page: one HTML file that needs nothing else, runs nothing, and shows whatever a database holds as text."""

import base64
import hashlib
from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from mailtide import __version__
from mailtide.reporting.charts import MAX_STATES, skips_chart, smoothing_chart, volume_chart
from mailtide.reporting.facts import DAYS, ReportFacts
from mailtide.reporting.series import Series, above, calendar_of, ceiling, day_of, make_series, totals

DOCTYPE = "<!doctype html>"


def render(facts: ReportFacts) -> str:
    """The page of these facts; equal facts give equal pages."""
    style = _part("page.css")
    series, by_day = make_series(facts.volume), totals(facts.volume)
    highest = ceiling(facts, by_day)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_visible
    )
    environment.filters |= {"number": _number, "compact": _compact, "percent": _percent, "short": _short}
    return environment.from_string(_part("page.html")).render(
        facts=facts,
        style=Markup(style),  # noqa: S704 - a file of ours
        policy=_policy(style),
        version=__version__,
        series=series,
        by_day=by_day,
        days=[day_of(facts, offset).isoformat() for offset in range(DAYS)],
        by_month=_by_month(facts, series, by_day),
        months=calendar_of(facts, by_day),
        beyond=above(facts, by_day, highest) if highest else [],
        crowded=[count for count in by_day if facts.caps and count > facts.caps.limit],
        volume_chart=volume_chart(facts, series) if any(by_day) else None,
        skips_chart=skips_chart(facts.skips) if facts.skips.by_state else None,
        smoothing_chart=smoothing_chart(facts) if any(facts.moves.before) else None,
        max_states=MAX_STATES,
    )


def _visible(value: object) -> object:
    """A value without characters that nobody sees: control characters, and those that turn the direction of the text."""
    if type(value) is not str or value.isprintable():
        return value
    return "".join(char if char.isprintable() or char in "\n\t" else "\N{REPLACEMENT CHARACTER}" for char in value)


def _part(name: str) -> str:
    return (resources.files("mailtide.reporting") / name).read_text(encoding="utf-8")


def _policy(style: str) -> str:
    """A content security policy that allows our own style sheet and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _by_month(facts: ReportFacts, series: list[Series], by_day: list[int]) -> list[tuple[str, list[int], int]]:
    """Month, mails of each series, and of all."""
    rows: dict[str, tuple[list[int], int]] = {}
    for offset, total in enumerate(by_day):
        month = f"{day_of(facts, offset):%Y-%m}"
        counts, sum_ = rows.get(month, ([0] * len(series), 0))
        rows[month] = [had + one.counts[offset] for had, one in zip(counts, series, strict=True)], sum_ + total
    return [(month, counts, total) for month, (counts, total) in rows.items()]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,}"


def _compact(value: int) -> str:
    """A number of at most four characters: 999, 1.2k, 35k, 1.2M."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            short = value / size
            return f"{short:.1f}{letter}" if short < 9.95 else f"{short:.0f}{letter}"
    return str(value)


def _short(text: str) -> str:
    """A name that fits the head of a column."""
    return text if len(text) <= 28 else f"{text[:27]}…"


def _percent(part: int, whole: int) -> str:
    return "–" if not whole else f"{100 * part / whole:.1f} %"
