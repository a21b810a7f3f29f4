"""Counting the rows of a plan: by day and type, by state and reason, and by how far smoothing moved them."""

import numpy as np

from mailtide.reporting.facts import DAYS, Moves, Skips, TypeMoves, Volume
from mailtide.rules.columns import NO_CODE, Bool, Desired, Int32, Int64
from mailtide.rules.config import FOLLOWUP_PREFIX
from mailtide.rules.people import People
from mailtide.rules.states import STATES

_REACHES = ((1, "1 day"), (2, "2 days"), (7, "3 to 7 days"), (30, "8 to 30 days"), (1 << 30, "more than 30 days"))


def count_volume(desired: Desired, as_of: int) -> Volume:
    """The mails that go out, by type and day. as_of: days since 1970-01-01; no row goes out before it."""
    going = desired.skip_reason == NO_CODE
    day = desired.send[going] - as_of
    inside = day < DAYS
    kind = desired.email_type[going][inside]
    counts = np.bincount(kind.astype(np.int64) * DAYS + day[inside], minlength=len(desired.types) * DAYS)
    table = counts.reshape(len(desired.types), DAYS)
    totals = table.sum(axis=1)
    order = sorted(np.flatnonzero(totals).tolist(), key=lambda code: (-int(totals[code]), desired.types[code]))
    return Volume({desired.types[code]: table[code].tolist() for code in order}, int(np.count_nonzero(~inside)))


def count_skips(desired: Desired, people: People) -> Skips:
    """The skipped mails by the contact's state and by what the reason begins with."""
    skipped = desired.skip_reason != NO_CODE
    reason, state = desired.skip_reason[skipped], people.state[desired.contact[skipped]]
    counts = np.bincount(
        state.astype(np.int64) * len(desired.reasons) + reason, minlength=len(STATES) * len(desired.reasons)
    ).reshape(len(STATES), -1)
    by_state: dict[str, dict[str, int]] = {}
    details: dict[str, int] = {}
    totals: dict[str, int] = {}
    for place, code in np.argwhere(counts).tolist():
        kind, _, detail = desired.reasons[code].partition(":")
        count = int(counts[place, code])
        row = by_state.setdefault(STATES[place], {})
        row[kind] = row.get(kind, 0) + count
        totals[kind] = totals.get(kind, 0) + count
        if kind == "same_day":
            details[detail] = details.get(detail, 0) + count
    return Skips(
        by_state=dict(sorted(by_state.items(), key=lambda item: (-sum(item[1].values()), item[0]))),
        kinds=sorted(totals, key=lambda kind: (-totals[kind], kind)),
        details=dict(sorted(details.items(), key=lambda item: (-item[1], item[0]))),
    )


def count_moves(desired: Desired, plain: Int32, spread: Int32, as_of: int) -> Moves:
    """What smoothing moved.

    desired: the plan; plain, spread: the send days of the same rows without any smoothing, and with the spreading of
    effective dates alone; shape (d,).
    """
    takes_part = _takes_part(desired)
    kind, send = desired.email_type[takes_part], desired.send[takes_part]
    plain, spread = plain[takes_part], spread[takes_part]
    by_type = {
        desired.types[code]: _of_type(send[rows], plain[rows], spread[rows])
        for code in np.unique(kind).tolist()
        if len(rows := np.flatnonzero(kind == code))
    }
    moved = send != plain
    return Moves(
        by_type=dict(sorted(by_type.items(), key=lambda item: (-item[1].mails, item[0]))),
        before=_by_day(plain, as_of),
        after=_by_day(send, as_of),
        reach=_reach(np.abs(send[moved].astype(np.int64) - plain[moved])),
    )


def _takes_part(desired: Desired) -> Bool:
    """Which rows smoothing could move: all but follow-ups and those that a window keeps back."""
    by_window = np.array([reason.partition(":")[0].endswith(("_window", "year_round")) for reason in desired.reasons])
    followup = np.array([name.startswith(FOLLOWUP_PREFIX) for name in desired.types], np.bool_)
    kept_back = np.append(by_window, False).astype(np.bool_)[desired.skip_reason]
    part: Bool = ~kept_back & ~followup[desired.email_type]
    return part


def _of_type(send: Int32, plain: Int32, spread: Int32) -> TypeMoves:
    distance = np.abs(send.astype(np.int64) - plain)
    return TypeMoves(
        mails=len(send),
        spread=int(np.count_nonzero(spread != plain)),
        capped=int(np.count_nonzero(send != spread)),
        longest=int(distance.max(initial=0)),
    )


def _by_day(days: Int32, as_of: int) -> list[int]:
    near = days[days < as_of + DAYS] - as_of
    counts: list[int] = np.bincount(near, minlength=DAYS).tolist()
    return counts


def _reach(distance: Int64) -> dict[str, int]:
    edges = np.array([last for last, _ in _REACHES])
    counts = np.bincount(np.searchsorted(edges, distance), minlength=len(_REACHES))
    return {name: int(count) for (_, name), count in zip(_REACHES, counts, strict=True) if count}
