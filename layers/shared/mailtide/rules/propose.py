"""Candidates with the verdicts of the windows (spec §4, §5): what needs nothing but a contact's own columns and the campaigns.

Chunks of contacts can be proposed for anywhere. What handled a mail stands in the history: where that is at hand, mails
are left out at once; where it is not, whoever has it leaves them out later (`leave_out_handled`), to the same result.
"""

from dataclasses import dataclass

import numpy as np

from mailtide.rules.candidates import Generator, Rows
from mailtide.rules.columns import NO_CODE, NO_DATE, Bool, Int32
from mailtide.rules.ground import Ground
from mailtide.rules.handled import Handled


@dataclass(slots=True, kw_only=True)
class Proposals:
    """The candidates of some contacts, those of one source after the other; arrays have shape (n,) or (m,)."""

    rows: Rows
    send: Int32
    reason: Int32
    """Code of the skip reason, NO_CODE where the day is free."""
    end: Int32
    """The last day of the dated window that excludes the candidate, NO_DATE where there is none."""
    missed: Rows
    """Mails of the past whose ideal date lay in a dated window, of contacts that may have a post-window mail."""
    missed_end: Int32
    """The last days of these windows."""
    last_contact: int
    """The greatest index of the contacts that were asked for, -1 for none."""

    @staticmethod
    def none() -> "Proposals":
        """Those of no contact."""
        nothing = np.zeros(0, np.int32)
        rows = Rows(nothing, nothing, nothing)
        return Proposals(
            rows=rows, send=nothing, reason=nothing, end=nothing, missed=rows, missed_end=nothing, last_contact=-1
        )


class Proposer:
    """Makes the proposals of a run, for any chunk of its contacts."""

    def __init__(self, ground: Ground, handled: Handled | None) -> None:
        """handled: None where the history is not at hand."""
        self._table, self._windows = ground.table, ground.windows
        self._generator = Generator(ground.related, ground.rules, ground.as_of, ground.people, ground.table, handled)

    def propose(self, contact: Int32) -> Proposals:
        """The proposals for these eligible contacts, ascending."""
        rows, send = self._generator.candidates(contact)
        reason = np.full(len(rows), NO_CODE, np.int32)
        end = np.full(len(rows), NO_DATE, np.int32)
        obeys = np.flatnonzero(self._table.obeys_windows[rows.source])
        named = self._windows.named(rows.contact[obeys], send[obeys])
        reason[obeys], end[obeys] = named.reason, named.end
        missed, ideal = self._generator.missed(contact[self._windows.may_have_post_window(contact)])
        swallowed = self._windows.named(missed.contact, ideal)
        dated = np.flatnonzero(swallowed.end != NO_DATE).astype(np.int32)
        return Proposals(
            rows=rows,
            send=send,
            reason=reason,
            end=end,
            missed=missed[dated],
            missed_end=swallowed.end[dated],
            last_contact=int(contact.max(initial=-1)),
        )


def leave_out_handled(proposals: Proposals, handled: Handled) -> Proposals:
    """The proposals that nothing handled (§4)."""
    rows, missed = proposals.rows, proposals.missed
    keep = _unhandled(rows, handled)
    keep_missed = _unhandled(missed, handled)
    if keep.all() and keep_missed.all():
        return proposals
    return Proposals(
        rows=rows[keep],
        send=proposals.send[keep],
        reason=proposals.reason[keep],
        end=proposals.end[keep],
        missed=missed[keep_missed],
        missed_end=proposals.missed_end[keep_missed],
        last_contact=proposals.last_contact,
    )


def _unhandled(rows: Rows, handled: Handled) -> Bool:
    return ~handled.of_sections(rows.source, rows.contact, rows.event)
