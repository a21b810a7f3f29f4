"""Sends whose end nobody knew, settled by having been found (spec §5 point 4).

A mail may be found while its sender is still waiting for the server's answer, which may then never come; and a visit may end
between recording a mail and settling it. So what was found is kept until the sender's ledger knows of it.
"""

from datetime import date
from typing import Protocol

from mailtide.warmup.contracts import RoundState
from mailtide.warmup.ids import SendId
from mailtide.warmup.ports import Ledger
from mailtide.warmup.reading.contracts import FoundAs
from mailtide.warmup.reading.days import ReadingDays


class Settling(Protocol):
    """What is asked and told."""

    @property
    def ledger(self) -> Ledger:
        """Of the senders."""

    @property
    def days(self) -> ReadingDays:
        """In which shards they stand."""


def settle(services: Settling, unsettled: dict[str, FoundAs], since: date) -> int:
    """Turn what is unknown into what it was found as, and forget all but those that are still under way; how many were turned.

    since: older ones are given up. NotFoundError, TransientError: the rest stays.
    """
    settled = 0
    for name, outcome in tuple(unsettled.items()):
        send_id = SendId.parse(name)
        day = services.days.get(send_id.day) if send_id.day >= since else None
        if day is not None:
            key = day.key(send_id.mailbox_id)
            view = services.ledger.read(key)
            state = view.state(send_id.round) if view else RoundState.UNTAKEN
            if state == RoundState.DATA:
                continue
            if state == RoundState.UNKNOWN:
                settled += services.ledger.settle(key, send_id.round, outcome)
        del unsettled[name]
    return settled
