"""The whole of the rules: from the columns of a database to the rows that should stand in it (spec §2 to §8)."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mailtide.rules.assemble import Chunk, assemble
from mailtide.rules.candidates import Generator, Rows
from mailtide.rules.columns import NO_CODE, NO_DATE, Inputs, Int32, Outcome
from mailtide.rules.config import Rules
from mailtide.rules.dates import FIRST_DAY, LAST_DAY
from mailtide.rules.followups import make_followups
from mailtide.rules.frequency import FrequencyRule
from mailtide.rules.people import judge
from mailtide.rules.post_window import post_window_rows
from mailtide.rules.smoothing import Smoother
from mailtide.rules.sources import Codes, Names, SourceTable, list_sources, tabulate
from mailtide.rules.windows import StateWindows

CHUNK_CONTACTS = 1 << 16

type Progress = Callable[[str, int, int], None]


class _ChunkMaker:
    """Makes the rows of a chunk of contacts (§4 and §5)."""

    def __init__(
        self, generator: Generator, windows: StateWindows, table: SourceTable, rules: Rules, as_of: int
    ) -> None:
        self._generator, self._windows, self._table = generator, windows, table
        self._rules, self._as_of = rules, as_of

    def make(self, contact: Int32) -> Chunk:
        rows, send = self._generator.candidates(contact)
        reason = np.full(len(rows), NO_CODE, np.int32)
        obeys = np.flatnonzero(self._table.obeys_windows[rows.source])
        named = self._windows.named(rows.contact[obeys], send[obeys])
        reason[obeys] = named.reason
        dated = named.end != NO_DATE
        late_contact, late_end = self._missed(contact)
        after, after_send, waits_too_long = post_window_rows(
            self._windows,
            np.concatenate((rows.contact[obeys[dated]], late_contact)),
            np.concatenate((named.end[dated], late_end)),
            self._as_of,
            self._rules.catch_up_spread_days,
        )
        keep = self._generator.unhandled(after)
        after, after_send = after[keep], after_send[keep]
        return Chunk(
            Rows.join([rows, after]),
            np.concatenate((send, after_send)),
            np.concatenate((reason, np.full(len(after), NO_CODE, np.int32))),
            int(contact.max(initial=-1)),
            waits_too_long,
        )

    def _missed(self, contact: Int32) -> tuple[Int32, Int32]:
        """The occurrences that swallowed mails of the past."""
        rows, ideal = self._generator.missed(contact[self._windows.may_have_post_window(contact)])
        named = self._windows.named(rows.contact, ideal)
        dated = named.end != NO_DATE
        return rows.contact[dated], named.end[dated]


def _split(eligible: Int32, contacts: int) -> list[Int32]:
    edges = np.arange(0, contacts, CHUNK_CONTACTS)[1:]
    return np.split(eligible, np.searchsorted(eligible, edges))


def decide(inputs: Inputs, rules: Rules, as_of: int, threads: int = 1, progress: Progress | None = None) -> Outcome:
    """The rows that should stand in email_schedules on the day `as_of` (days since 1970-01-01).

    threads: 1 or more; the rows are the same for any number. progress: called with a stage, the chunks done and their number.
    """
    if not FIRST_DAY <= as_of <= LAST_DAY:
        raise ValueError(f"as_of {as_of} is outside years 1..9999")
    people, skipped, mismatches = judge(inputs.contacts)
    names = Names(types=Codes(inputs.types))
    sources, without_start = list_sources(inputs, rules, as_of)
    table = tabulate(sources, names, rules)
    windows = StateWindows(rules, people, names.reasons)
    maker = _ChunkMaker(Generator(inputs, rules, as_of, people, table), windows, table, rules, as_of)
    frequency = FrequencyRule(inputs, rules, table, names)
    parts = _split(people.eligible, len(inputs.contacts))
    with ThreadPoolExecutor(threads) as pool:
        chunks = _counted(pool.map(maker.make, parts), "candidates", len(parts), progress)
        moves = _smooth(chunks, Smoother(rules, as_of, people, table, windows))
        followups = make_followups(inputs, rules, as_of, people, windows, names)
        _counted(pool.map(frequency.judge, chunks), "frequency", len(parts), progress)
        desired = assemble(chunks, followups, table, names, inputs.contacts.has_phone, pool)
    notes = {
        "state_zip_mismatch": mismatches,
        "campaign_instances_without_start": without_start,
        "post_window_beyond_366_days": sum(chunk.waits_too_long for chunk in chunks),
        **moves,
    }
    return Outcome(desired=desired, eligible=len(people.eligible), skipped_contacts=skipped, notes=notes)


def _counted[T](results: Iterable[T], stage: str, total: int, progress: Progress | None) -> list[T]:
    done: list[T] = []
    for result in results:
        done.append(result)
        if progress is not None:
            progress(stage, len(done), total)
    return done


def _smooth(chunks: list[Chunk], smoother: Smoother) -> dict[str, int]:
    """Moves the unskipped rows of all chunks; returns how many each step moved."""
    free = [np.flatnonzero(chunk.reason == NO_CODE).astype(np.int32) for chunk in chunks]
    rows = Rows.join([chunk.rows[index] for chunk, index in zip(chunks, free, strict=True)])
    send = np.concatenate([chunk.send[index] for chunk, index in zip(chunks, free, strict=True)])
    moved, notes = smoother.smooth(rows, send)
    edges = np.cumsum([len(index) for index in free])[:-1]
    for chunk, index, dates in zip(chunks, free, np.split(moved, edges), strict=True):
        chunk.send[index] = dates
    return notes
