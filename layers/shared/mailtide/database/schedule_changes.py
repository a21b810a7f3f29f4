"""What differs between the planned rows of two schedules, by type and by day."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from mailtide.database.read_schedule import DETAILS, PLANNED_CODES, Detail, Schedule
from mailtide.rules.columns import NO_DATE, Bool, Int32, Int64

_EPOCH = date(1970, 1, 1)
_KEY = ("contact_id", "email_type", "event", "campaign")
NO_DAY = "no date"


@dataclass(frozen=True, slots=True)
class ScheduleChanges:
    """Counts of rows that are planned in at least one of two schedules; a row that moved can have a new status too.

    by_type: email type -> kind of change -> rows. by_day: send date -> kind of change -> rows, where a move counts as
    `moved_away` on the old day and `moved_here` on the new one, and all else on the day of the row as it stands last.
    status_changes: `old -> new` -> rows. column_changes: column -> rows.
    """

    inserted: int
    deleted: int
    moved: int
    status_changed: int
    changed: int
    """Rows of which another column differs: the time, the priority, a template, or the reason of a row whose status stays."""
    same: int
    """Rows of which nothing differs."""
    by_type: dict[str, dict[str, int]]
    by_day: dict[str, dict[str, int]]
    status_changes: dict[str, int]
    column_changes: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Rows of both schedules side by side: indexes into `rows`, -1 where a side has none; shape (k,)."""

    old: Int64
    new: Int64


def compare_schedules(old: Schedule, new: Schedule) -> ScheduleChanges:
    """The planned rows of `new` against those of `old`, matched by contact, type, event date and campaign.

    Of several rows with one key a planned one counts, then the one with the lowest id. A planned row of one side that
    the other has with any status (sent, cancelled, …) has changed its status; it is neither inserted nor deleted.
    """
    types, statuses = _union(old.types, new.types), _union(old.statuses, new.statuses)
    details = list(dict.fromkeys([*old.details, *new.details]))
    sides = [_recoded(side, types, statuses, details) for side in (old, new)]
    names = (*_KEY, "send", "status", "detail")
    rows = {name: np.concatenate([getattr(side, name) for side in sides]) for name in names}
    pairs = _pairs(rows, np.concatenate([side.row_id for side in sides]), len(old.row_id))
    had, has = pairs.old >= 0, pairs.new >= 0
    both = had & has
    send_old, send_new = rows["send"][pairs.old], rows["send"][pairs.new]
    status_old, status_new = rows["status"][pairs.old], rows["status"][pairs.new]
    kinds = {
        "inserted": has & ~had,
        "deleted": had & ~has,
        "moved": both & (send_old != send_new),
        "status_changed": both & (status_old != status_new),
    }
    detail_old, detail_new = rows["detail"][pairs.old], rows["detail"][pairs.new]
    columns = _changed_columns(both, detail_old, detail_new, kinds["status_changed"], details)
    kinds["changed"] = np.logical_or.reduce(list(columns.values()))
    last = np.where(has, send_new, send_old)
    email_type = rows["email_type"][np.where(has, pairs.new, pairs.old)]
    days = {name: last[kinds[name]] for name in ("inserted", "deleted", "status_changed", "changed")}
    days |= {"moved_away": send_old[kinds["moved"]], "moved_here": send_new[kinds["moved"]]}
    changed = kinds["status_changed"]
    return ScheduleChanges(
        **{name: int(np.count_nonzero(mask)) for name, mask in kinds.items()},
        same=int(np.count_nonzero(both & ~kinds["moved"] & ~changed & ~kinds["changed"])),
        by_type=_table({name: email_type[mask] for name, mask in kinds.items()}, lambda code: types[code]),
        by_day=_table(days, _day),
        status_changes=_transitions(status_old[changed], status_new[changed], statuses),
        column_changes={name: count for name, mask in columns.items() if (count := int(np.count_nonzero(mask)))},
    )


def _changed_columns(
    both: Bool, old: Int32, new: Int32, status_changed: Bool, details: list[Detail]
) -> dict[str, Bool]:
    """For each column of DETAILS the pairs in which it differs, shape (k,); a reason comes and goes with the status."""
    columns = {}
    for place, name in enumerate(DETAILS):
        values = {value: code for code, value in enumerate(dict.fromkeys(detail[place] for detail in details))}
        codes = np.array([values[detail[place]] for detail in details], np.int32)
        differs = both.copy()
        differs[both] = codes[old[both]] != codes[new[both]]
        columns[name] = differs & ~status_changed if name == "skip_reason" else differs
    return columns


def _union(first: list[str], second: list[str]) -> list[str]:
    return [*first, *sorted(set(second) - set(first))]


def _recoded(schedule: Schedule, types: list[str], statuses: list[str], details: list[Detail]) -> Schedule:
    """The schedule with codes into the joint lists."""
    type_codes = np.array([types.index(name) for name in schedule.types], np.int32)
    status_codes = np.array([statuses.index(name) for name in schedule.statuses], np.int32)
    place = {detail: code for code, detail in enumerate(details)}
    detail_codes = np.array([place[detail] for detail in schedule.details], np.int32)
    return replace(
        schedule, email_type=type_codes[schedule.email_type], status=status_codes[schedule.status],
        detail=detail_codes[schedule.detail], types=types, statuses=statuses, details=details,
    )  # fmt: skip


def _pairs(rows: dict[str, Int32 | Int64], row_id: Int64, olds: int) -> _Pairs:
    """Rows of one key side by side, where at least one of them is planned; the first `olds` rows are of the old side."""
    is_new = np.arange(len(row_id)) >= olds
    unplanned = rows["status"] >= PLANNED_CODES
    order = np.lexsort((row_id, unplanned, is_new, *(rows[name] for name in reversed(_KEY))))
    starts: Bool = np.ones(len(order), np.bool_)
    if len(order):
        starts[1:] = False
        for name in _KEY:
            column = rows[name][order]
            starts[1:] |= column[1:] != column[:-1]
    group = np.cumsum(starts) - 1
    count = int(group[-1]) + 1 if len(group) else 0
    found = np.full((2, count), -1, np.int64)
    # Backwards, so that the first of several stays.
    found[is_new[order][::-1].astype(np.int8), group[::-1]] = order[::-1]
    planned = np.zeros(count, np.bool_)
    for side in found:
        planned |= (side >= 0) & ~np.append(unplanned, True)[side]
    return _Pairs(found[0, planned], found[1, planned])


def _table(columns: dict[str, Int32], name_of: Callable[[int], str]) -> dict[str, dict[str, int]]:
    """Counts of each value by column: name of the value -> column -> rows; names ascending, zeros left out."""
    table: dict[str, dict[str, int]] = {}
    for kind, values in columns.items():
        for value, count in _counted(values):
            table.setdefault(name_of(value), {})[kind] = count
    return dict(sorted(table.items()))


def _counted(values: Int32 | Int64) -> Iterable[tuple[int, int]]:
    distinct, counts = np.unique(values, return_counts=True)
    return zip(distinct.tolist(), counts.tolist(), strict=True)


def _day(day: int) -> str:
    return NO_DAY if day == NO_DATE else (_EPOCH + timedelta(days=day)).isoformat()


def _transitions(old: Int32, new: Int32, statuses: list[str]) -> dict[str, int]:
    joint = old.astype(np.int64) * len(statuses) + new
    named = {
        f"{statuses[code // len(statuses)]} -> {statuses[code % len(statuses)]}": count
        for code, count in _counted(joint)
    }
    return dict(sorted(named.items()))
