"""Who is visited in a tick, and when. Pure: a visit belongs to exactly one tick, and nothing is kept between ticks.

A mailbox is visited at the same phase of every interval of WARMUP_READ_MINUTES, by a hash of its id, so that visits are spread
evenly. A tick that is missed leaves its visits out; the next ones find what they would have found.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from math import ceil

from mailtide.warmup.ids import hasher
from mailtide.warmup.ports import MAX_DELAY_S
from mailtide.warmup.reading.contracts import MAX_VISITS_A_MESSAGE, ReadMessage

TOGETHER_MS = 60_000
"""Visits of one message are no further apart: they begin together."""

type Visit = tuple[int, str]
"""When (ms since 1970), and which mailbox."""


def due_visits(mailbox_ids: Iterable[str], start_ms: int, end_ms: int, interval_ms: int) -> list[Visit]:
    """The visits whose moment lies in [start, end), by time."""
    phase = hasher("visit|")
    found: list[Visit] = []
    for mailbox_id in mailbox_ids:
        offset_ms = (phase(mailbox_id) >> 11) * interval_ms >> 53
        first_ms = start_ms + (offset_ms - start_ms) % interval_ms
        if first_ms < end_ms:
            found += ((moment_ms, mailbox_id) for moment_ms in range(first_ms, end_ms, interval_ms))
    return sorted(found)


def read_messages(
    day: date, shard: int, visits: Sequence[Visit], *, now_ms: int, interval_ms: int
) -> list[tuple[ReadMessage, int]]:
    """Messages for these visits, each with its delay in seconds; those whose next round has begun by now are left out."""
    return [
        (
            ReadMessage(
                day=day,
                shard=shard,
                mailbox_ids=tuple(mailbox_id for _, mailbox_id in together),
                until_ms=together[0][0] + interval_ms,
            ),
            min(MAX_DELAY_S, max(0, ceil((together[0][0] - now_ms) / 1000))),
        )
        for together in _together(visits)
        if together[0][0] + interval_ms > now_ms
    ]


def _together(visits: Sequence[Visit]) -> Iterator[list[Visit]]:
    """Neighbours in time, at most MAX_VISITS_A_MESSAGE and TOGETHER_MS of them, no mailbox twice."""
    part: list[Visit] = []
    for visit in visits:
        is_full = len(part) == MAX_VISITS_A_MESSAGE or (part and visit[0] - part[0][0] > TOGETHER_MS)
        if is_full or any(visit[1] == other for _, other in part):
            yield part
            part = []
        part.append(visit)
    if part:
        yield part
