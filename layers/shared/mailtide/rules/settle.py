"""From proposals to rows: what needs the history or the whole organisation (spec §4 to §8)."""

from collections.abc import Callable, Iterable
from concurrent.futures import Executor

import numpy as np

from mailtide.rules.assemble import assemble
from mailtide.rules.candidates import Chunk, Rows
from mailtide.rules.columns import NO_CODE, NO_DATE, Desired
from mailtide.rules.followups import make_followups
from mailtide.rules.frequency import FrequencyRule
from mailtide.rules.ground import Ground
from mailtide.rules.handled import Handled
from mailtide.rules.post_window import post_window_rows
from mailtide.rules.propose import Proposals
from mailtide.rules.smoothing import Smoother
from mailtide.rules.sources import POST_WINDOW

type Progress = Callable[[str, int, int], None]


def with_post_window(ground: Ground, handled: Handled, proposals: Proposals) -> Chunk:
    """The proposals, none of which is handled, and the post-window mails that follow from them (§5)."""
    rows = proposals.rows
    dated = np.flatnonzero(proposals.end != NO_DATE)
    after, send, waits_too_long = post_window_rows(
        ground.windows,
        np.concatenate((rows.contact[dated], proposals.missed.contact)),
        np.concatenate((proposals.end[dated], proposals.missed_end)),
        ground.as_of,
        ground.rules.catch_up_spread_days,
    )
    keep = ~handled.of(POST_WINDOW, after.contact, after.event)
    after, send = after[keep], send[keep]
    return Chunk(
        Rows.join([rows, after]),
        np.concatenate((proposals.send, send)),
        np.concatenate((proposals.reason, np.full(len(after), NO_CODE, np.int32))),
        proposals.last_contact,
        waits_too_long,
    )


def settle(
    ground: Ground, chunks: list[Chunk], pool: Executor, progress: Progress | None = None
) -> tuple[Desired, dict[str, int]]:
    """The rows that should stand, and the notes of the report.

    chunks: of all eligible contacts, ascending and disjoint in their contacts, at least one; they are changed.
    """
    frequency = FrequencyRule(ground.related, ground.rules, ground.table, ground.names)
    smoother = Smoother(ground.rules, ground.as_of, ground.people, ground.table, ground.windows)
    moves = smoother.smooth(chunks, pool)
    followups = make_followups(ground.related, ground.rules, ground.as_of, ground.people, ground.windows, ground.names)
    counted(pool.map(frequency.judge, chunks), "frequency", len(chunks), progress)
    desired = assemble(chunks, followups, ground.table, ground.names, ground.people.has_phone, pool)
    return desired, {
        "campaign_instances_without_start": ground.instances_without_start,
        "post_window_beyond_366_days": sum(chunk.waits_too_long for chunk in chunks),
        **moves,
    }


def counted[T](results: Iterable[T], stage: str, total: int, progress: Progress | None) -> list[T]:
    """All results; tells `progress` of each."""
    done: list[T] = []
    for result in results:
        done.append(result)
        if progress is not None:
            progress(stage, len(done), total)
    return done
