"""Smoothing over the whole organisation (§6), day by day as the text says it."""

import datetime
from collections.abc import Callable
from fractions import Fraction
from math import floor
from typing import Any

from tests.reference import values
from tests.reference.windows import ContactWindows

type Row = dict[str, Any]
type MayMove = Callable[[Row, datetime.date | None], bool]


def smooth(
    rows: list[Row], windows_of: dict[int, ContactWindows], rules: Row, as_of: datetime.date, eligible: int
) -> None:
    """Changes the `send` of unskipped rows in place."""
    if rules["daily_cap_fraction"] is None:
        return
    cap = max(1, floor(eligible * Fraction(str(rules["daily_cap_fraction"]))))
    limit = floor(cap * Fraction(str(rules["overage_threshold"])))

    def may_move(row: Row, day: datetime.date | None) -> bool:
        if day is None or day < as_of or (row["deadline"] is not None and day > row["deadline"]):
            return False
        return not row["obeys"] or windows_of[row["contact_id"]].named(day) is None

    _spread_effective_dates(rows, rules, cap, may_move)
    _apply_cap(rows, as_of, cap, limit, may_move)


def _spread_effective_dates(rows: list[Row], rules: Row, cap: int, may_move: MayMove) -> None:
    soft = max(1, floor(cap * Fraction(str(rules["ed_soft_limit_fraction"]))))
    if rules["ed_soft_limit"] is not None:
        soft = min(soft, rules["ed_soft_limit"])
    reach = rules["ed_smoothing_days"]
    effective = [row for row in rows if row["email_type"] == "effective_date"]
    held: dict[datetime.date, int] = {}
    for row in effective:
        held[row["send"]] = held.get(row["send"], 0) + 1
    for row in effective:
        if held[row["send"]] > soft:
            day = values.plus(row["send"], row["hash"] % (2 * reach + 1) - reach)
            if may_move(row, day):
                row["send"] = day


def _apply_cap(rows: list[Row], as_of: datetime.date, cap: int, limit: int, may_move: MayMove) -> None:
    by_day: dict[datetime.date, list[Row]] = {}
    for row in rows:
        by_day.setdefault(row["send"], []).append(row)
    day = as_of
    while by_day:
        today = by_day.pop(day, [])
        tomorrow = values.plus(day, 1)
        if len(today) > limit:
            may = [row for row in today if may_move(row, tomorrow)]
            may.sort(
                key=lambda row: (
                    row["priority"],
                    row["hash"],
                    row["contact_id"],
                    row["campaign_instance_id"],
                    row["email_type"],
                    row["event_date"],
                )
            )
            stay = len(today) - len(may)
            for row in may[max(0, cap - stay) :]:
                assert tomorrow is not None
                row["send"] = tomorrow
                by_day.setdefault(tomorrow, []).append(row)
        if tomorrow is None:
            break
        day = tomorrow
