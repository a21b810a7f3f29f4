"""The charts, as SVG without scripts and without styles: Vega-Lite, drawn by vl-convert (https://vega.github.io/vega-lite).

Colours are variables of the page's style sheet, so that a chart follows light and dark.
"""

from dataclasses import dataclass
from typing import Any

import vl_convert
from markupsafe import Markup

from mailtide.reporting.facts import DAYS, ReportFacts, Skips
from mailtide.reporting.series import Series, ceiling, day_of, totals

_WIDTHS = {"wide": 2 * DAYS, "narrow": 264}
MAX_STATES = 15
_CONFIG: dict[str, Any] = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": "currentColor", "gridColor": "currentColor", "gridOpacity": 0.14, "domain": False,
        "tickColor": "currentColor", "tickOpacity": 0.3, "labelFontSize": 12,
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart for wide and for narrow pages."""

    wide: Markup
    narrow: Markup


def volume_chart(facts: ReportFacts, series: list[Series]) -> Chart:
    """Mails by day, stacked by type, with the cap and the limit as lines."""
    highest = ceiling(facts, totals(facts.volume))
    rows = [
        {"d": _day(facts, offset), "s": one.slot, "o": one.slot, "n": one.counts[min(offset, DAYS - 1)]}
        for one in _cut(series, highest)
        for offset in range(DAYS + 1)
    ]
    area = {
        "data": {"values": rows},
        "mark": {"type": "area", "interpolate": "step-after"},
        "encoding": {
            "x": _time_axis(),
            "y": _count_axis(highest),
            "color": _colours([one.slot for one in series]),
            "order": {"field": "o", "type": "quantitative"},
        },
    }
    caps = [("cap", facts.caps.cap, [6, 4]), ("limit", facts.caps.limit, [2, 3])] if facts.caps else []
    lines = [_line(name, at, dash) for name, at, dash in caps]
    return _drawn({"layer": [area, *lines]}, height=260)


def smoothing_chart(facts: ReportFacts) -> Chart:
    """Mails by day before and after smoothing, as two lines."""
    highest = ceiling(facts, facts.moves.before)
    sides = {
        name: [count if highest is None else min(count, highest) for count in counts]
        for name, counts in (("before", facts.moves.before), ("after", facts.moves.after))
    }
    rows = [
        {"d": _day(facts, offset), "s": name, "n": counts[min(offset, DAYS - 1)]}
        for name, counts in sides.items()
        for offset in range(DAYS + 1)
    ]
    line = {
        "data": {"values": rows},
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1.5},
        "encoding": {
            "x": _time_axis(),
            "y": _count_axis(highest),
            "color": {
                "field": "s", "type": "nominal", "legend": None,
                "scale": {"domain": list(sides), "range": [_colour(7), _colour(0)]},
            },
        },
    }  # fmt: skip
    caps = [_line("cap", facts.caps.cap, [6, 4])] if facts.caps else []
    return _drawn({"layer": [line, *caps]}, height=220)


def skips_chart(skips: Skips) -> Chart:
    """Skipped mails of the states with most of them, stacked by the kind of reason."""
    states = list(skips.by_state)[:MAX_STATES]
    rows = [
        {"state": state, "s": kind, "o": skips.kinds.index(kind), "n": count}
        for state in states
        for kind, count in skips.by_state[state].items()
    ]
    bars = {
        "data": {"values": rows},
        "mark": {"type": "bar", "height": 14},
        "encoding": {
            "x": _count_axis(None) | {"axis": {"format": "~s", "title": None, "tickCount": 4}},
            "y": {"field": "state", "type": "nominal", "sort": states, "axis": {"title": None, "grid": False}},
            "color": _colours(skips.kinds),
            "order": {"field": "o", "type": "quantitative"},
        },
    }
    return _drawn(bars, height=20 * len(states))


def _cut(series: list[Series], highest: int | None) -> list[Series]:
    """The series with the top of each stack cut off at `highest`; clipping would need ids that no two charts share."""
    if highest is None:
        return series
    room = [highest] * DAYS
    cut = []
    for one in series:
        counts = [min(count, left) for count, left in zip(one.counts, room, strict=True)]
        room = [left - count for left, count in zip(room, counts, strict=True)]
        cut.append(Series(one.name, one.slot, counts))
    return cut


def _day(facts: ReportFacts, offset: int) -> str:
    return day_of(facts, offset).isoformat()


def _time_axis() -> dict[str, Any]:
    axis = {"title": None, "format": "%b", "tickCount": "month", "grid": False, "labelOverlap": True}
    return {"field": "d", "type": "temporal", "scale": {"type": "utc", "round": True}, "axis": axis}


def _count_axis(highest: int | None) -> dict[str, Any]:
    scale: dict[str, Any] = {"round": True, "nice": highest is None}
    if highest is not None:
        scale["domainMax"] = highest
    return {
        "field": "n",
        "type": "quantitative",
        "scale": scale,
        "axis": {"format": "~s", "title": None, "tickCount": 5},
    }


def _colour(slot: int) -> str:
    return f"var(--s{slot})"


def _colours(names: list[str] | list[int]) -> dict[str, Any]:
    scale = {"domain": names, "range": [_colour(slot) for slot in range(len(names))]}
    return {"field": "s", "type": "nominal", "scale": scale, "legend": None}


def _line(name: str, at: int, dash: list[int]) -> dict[str, Any]:
    return {
        "data": {"values": [{"name": name, "at": at}]},
        "mark": {"type": "rule", "color": "currentColor", "strokeDash": dash, "opacity": 0.75},
        "encoding": {"y": {"field": "at", "type": "quantitative"}},
    }


def _drawn(spec: dict[str, Any], height: int) -> Chart:
    return Chart(**{name: _svg(spec, width, height) for name, width in _WIDTHS.items()})


def _svg(spec: dict[str, Any], width: int, height: int) -> Markup:
    """One chart. It holds numbers, days, codes of states and words of ours, but no text of a database."""
    whole = {"width": width, "height": height, "config": _CONFIG, "padding": 2, **spec}
    return Markup(vl_convert.vegalite_to_svg(whole, allowed_base_urls=[], show_warnings=False))  # noqa: S704 - see above
