"""Follow-ups (spec §8): at most one per contact, after the latest mail that was sent."""

from dataclasses import dataclass

import numpy as np

from mailtide.rules.columns import NO_DATE, Bool, Int32, Int64, Related
from mailtide.rules.config import ANNIVERSARY_TYPES, CAMPAIGN_PREFIX, FOLLOWUP_PREFIX, Rules
from mailtide.rules.dates import LAST_DAY, pack, plus_days
from mailtide.rules.handled import any_between
from mailtide.rules.people import People
from mailtide.rules.sources import Names
from mailtide.rules.windows import StateWindows


@dataclass(frozen=True, slots=True, kw_only=True)
class Followups:
    """The follow-up rows, ascending by contact, one each; shape (f,)."""

    contact: Int32
    kind: Int32
    """Index into FOLLOWUP_TYPES."""
    event: Int32
    send: Int32
    reason: Int32
    priority: Int64
    campaign: Int64

    def __len__(self) -> int:
        return len(self.contact)

    def __getitem__(self, keep: Bool | Int64) -> "Followups":
        return Followups(
            contact=self.contact[keep],
            kind=self.kind[keep],
            event=self.event[keep],
            send=self.send[keep],
            reason=self.reason[keep],
            priority=self.priority[keep],
            campaign=self.campaign[keep],
        )


def is_followup(types: list[str]) -> Bool:
    """Which type codes are those of follow-ups."""
    return np.array([name.startswith(FOLLOWUP_PREFIX) for name in types], np.bool_)


def _starts_followup(inputs: Related) -> Bool:
    names = set(ANNIVERSARY_TYPES)
    names |= {CAMPAIGN_PREFIX + kind.name for kind in inputs.campaign_types if kind.enable_followups}
    return np.array([name in names for name in inputs.types], np.bool_)


def _latest_initial(inputs: Related, rules: Rules, as_of: int, people: People) -> tuple[Int32, Int32]:
    """Row indexes of the history that is followed up, ascending by contact, and their sent dates."""
    history = inputs.history
    if not len(history.contact):
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    sent: Int32 = np.where(history.actual != NO_DATE, history.actual, history.send)
    wanted = history.was_sent & (history.send != NO_DATE) & _starts_followup(inputs)[history.email_type]
    wanted &= (sent >= as_of - rules.followup_lookback_days) & (sent <= as_of)
    eligible = np.zeros(len(people.id), np.bool_)
    eligible[people.eligible] = True
    found = np.flatnonzero(wanted & eligible[history.contact])
    rows: Int32 = found[np.argsort(pack(history.contact[found], sent[found]), kind="stable")].astype(np.int32)
    contact = history.contact[rows]
    rows = rows[np.concatenate((contact[1:] != contact[:-1], [True]))[-len(rows) :]] if len(rows) else rows
    followed = np.flatnonzero(is_followup(inputs.types)[history.email_type] & (history.send != NO_DATE))
    later = np.sort(pack(history.contact[followed], history.send[followed]))
    contact, since = history.contact[rows], sent[rows]
    rows = rows[~any_between(later, pack(contact, since), pack(contact, np.full_like(since, LAST_DAY)))]
    return rows, sent[rows]


def _kinds(inputs: Related, contact: Int32, since: Int32, as_of: int) -> Int32:
    """Index into FOLLOWUP_TYPES: what each contact did from `since` to `as_of`, the strongest sign last."""
    signals = inputs.signals
    low, high = pack(contact, since), pack(contact, np.full_like(since, as_of))
    kinds = np.zeros(len(contact), np.int32)
    yes = signals.answer_yes
    for kind, who, when in (
        (1, signals.click_contact, signals.click_day),
        (2, signals.answer_contact, signals.answer_day),
        (3, signals.answer_contact[yes], signals.answer_day[yes]),
    ):
        known = when != NO_DATE
        kinds[any_between(np.sort(pack(who[known], when[known])), low, high)] = kind
    return kinds


def _key_is_held(inputs: Related, followups: Followups, names: Names) -> Bool:
    """Which follow-ups have their key in a row that the pass does not own."""
    if not len(followups):
        return np.zeros(0, np.bool_)
    history, held = inputs.history, inputs.held
    code = np.array(names.followup_types, np.int32)[followups.kind]
    mine: list[Int32 | Int64] = [followups.contact, code, followups.event, followups.campaign]
    theirs: list[Int32 | Int64] = [
        np.concatenate((history.contact, held.contact)),
        np.concatenate((history.email_type, held.email_type)),
        np.concatenate((history.event, held.event)),
        np.concatenate((history.campaign, held.campaign)),
    ]
    near = np.flatnonzero(np.isin(theirs[1], names.followup_types))
    joint = np.zeros(len(near) + len(code), np.int64)
    for own, other in zip(mine, theirs, strict=True):
        column = np.unique(np.concatenate((other[near].astype(np.int64), own.astype(np.int64))), return_inverse=True)[1]
        joint = np.unique(joint * (len(joint) + 1) + column, return_inverse=True)[1]
    return np.isin(joint[len(near) :], joint[: len(near)])


def make_followups(
    inputs: Related, rules: Rules, as_of: int, people: People, windows: StateWindows, names: Names
) -> Followups:
    """The follow-ups of all eligible contacts."""
    rows, sent = _latest_initial(inputs, rules, as_of, people)
    history = inputs.history
    send = plus_days(sent, rules.followup_days_after)
    send = np.where(send == NO_DATE, send, np.maximum(send, as_of))
    keep = send != NO_DATE
    rows, sent, send = rows[keep], sent[keep], send[keep]
    contact = history.contact[rows]
    followups = Followups(
        contact=contact,
        kind=_kinds(inputs, contact, sent, as_of),
        event=history.send[rows],
        send=send,
        reason=windows.named(contact, send).reason,
        priority=history.priority[rows],
        campaign=history.campaign[rows],
    )
    return followups[~_key_is_held(inputs, followups, names)]
