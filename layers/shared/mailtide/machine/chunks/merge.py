"""The parts of all chunks into the rows of the whole organisation: the same as one machine makes of all contacts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from mailtide.contracts import TaskDocument
from mailtide.contracts.candidates import PartFrame, PartHeader, UnreadableError, read_candidates
from mailtide.errors import BadPartError
from mailtide.machine.chunks.blocks import BlockCodec, most_sections, read_contacts
from mailtide.machine.chunks.columns import Cursor
from mailtide.machine.chunks.part import check_lengths, decompress
from mailtide.rules.candidates import Chunk
from mailtide.rules.columns import Outcome, Related
from mailtide.rules.config import Rules
from mailtide.rules.dates import days_since_epoch
from mailtide.rules.ground import check_volume, digest_of, lay_ground
from mailtide.rules.handled import Handled
from mailtide.rules.people import People
from mailtide.rules.propose import Proposals, leave_out_handled
from mailtide.rules.settle import settle, with_post_window
from mailtide.rules.sources import list_sources
from mailtide.rules.volume import NO_LIMITS, Limits

_REASONS = ("invalid_email", "suppressed", "no_state")


@contextmanager
def naming(task: str) -> Iterator[None]:
    """UnreadableError as a sentence that names the chunk."""
    try:
        yield
    except UnreadableError as error:
        raise BadPartError(f"The candidates of {task} cannot be used: {error}.") from None


@dataclass(frozen=True, slots=True)
class _Piece:
    """A block whose contacts are read: the cursor stands at its proposals. low, high: its contacts' indexes in the run."""

    task: str
    cursor: Cursor
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class MergeRead:
    """The contacts of all parts, and what their machines counted."""

    people: People
    pieces: list[_Piece]
    rows: int
    skipped_contacts: dict[str, int]
    state_zip_mismatch: int
    quality: dict[str, int]
    suppressions_sha256: str

    @property
    def invalid_ids(self) -> int:
        """Rows of contacts without a readable id."""
        return self.skipped_contacts.get("invalid_id", 0)


def read_parts(
    document: TaskDocument, parts: Sequence[tuple[str, bytes]], related: Related, rules: Rules, threads: int
) -> MergeRead:
    """Check the parts, and read their contacts.

    parts: task names and the bytes that they delivered, ascending by id. related: the campaigns of the merge's own file.
    Raises BadPartError.
    """
    sources, _ = list_sources(related, rules, days_since_epoch(document.as_of))
    digest = digest_of(sources)
    read: list[tuple[str, PartFrame]] = []
    for task, data in parts:
        with naming(task):
            part = read_candidates(data)
            _check_header(part.header, document, task, rules.sha256, digest)
            check_lengths(part.header, most_sections(sources, rules))
            _check_follows(read[-1][1] if read else None, part)
        read.append((task, part))
    if not read or read[-1][1].header.last_id is not None:
        raise BadPartError("The chunks do not reach the last contact.")

    def contacts_of(item: tuple[str, PartFrame, int]) -> tuple[People, Cursor]:
        task, part, index = item
        with naming(task):
            block = part.header.blocks[index]
            cursor = decompress(block, part.blocks[index])
            return read_contacts(cursor, block.contacts), cursor

    items = [(task, part, index) for task, part in read for index in range(len(part.blocks))]
    with ThreadPoolExecutor(threads) as pool:
        blocks = list(pool.map(contacts_of, items))
    people = _joined([found for found, _ in blocks])
    lows = np.cumsum([0, *(len(found.id) for found, _ in blocks)]).tolist()
    _check_contacts(read, items, people, lows)
    pieces = [
        _Piece(task, cursor, low, high)
        for (task, _, _), (_, cursor), low, high in zip(items, blocks, lows[:-1], lows[1:], strict=True)
    ]
    headers = [part.header for _, part in read]
    skipped: Counter[str] = Counter()
    quality: Counter[str] = Counter()
    for header in headers:
        skipped.update(header.skipped_contacts)
        quality.update(header.quality)
    quality.update(headers[0].shared_quality)
    return MergeRead(
        people=people,
        pieces=pieces,
        rows=sum(header.rows for header in headers),
        skipped_contacts=dict(skipped),
        state_zip_mismatch=sum(header.state_zip_mismatch for header in headers),
        quality=dict(quality),
        suppressions_sha256=headers[0].suppressions_sha256,
    )


def _check_header(
    header: PartHeader, document: TaskDocument, task: str, rules_sha256: str, sources_sha256: str
) -> None:
    """Whether these are the candidates that this merge waits for. Raises UnreadableError."""
    header.check(run=document.run, task=task, as_of=document.as_of, source=document.source)
    if header.rules_sha256 != rules_sha256:
        raise UnreadableError("they are of other rules")
    if header.sources_sha256 != sources_sha256:
        raise UnreadableError("they are of other campaigns")


def _check_follows(before: PartFrame | None, part: PartFrame) -> None:
    """Whether a part begins where the one before it ends. Raises UnreadableError."""
    header = part.header
    if before is None:
        if header.first_id is not None:
            raise UnreadableError("they do not begin with the first contact")
        return
    end = before.header.last_id
    if end is None or header.first_id != end + 1:
        raise UnreadableError("they do not begin where the chunk before them ends")
    same = ("shared_quality", "suppressions_sha256")
    if any(getattr(header, name) != getattr(before.header, name) for name in same):
        raise UnreadableError("they were made from other tables than those of the chunk before them")
    if header.skipped_contacts.get("invalid_id", 0):
        raise UnreadableError("only the first chunk can have rows without an id")


def _check_contacts(
    read: list[tuple[str, PartFrame]], items: list[tuple[str, PartFrame, int]], people: People, lows: list[int]
) -> None:
    """Whether the ids ascend over all blocks, lie in their chunks, and are as many eligible ones as counted."""
    eligible: Counter[str] = Counter()
    for (task, part, _), low, high in zip(items, lows[:-1], lows[1:], strict=True):
        first, last = int(people.id[low]), int(people.id[high - 1])
        start, end = part.header.first_id, part.header.last_id
        with naming(task):
            if (start is not None and first < start) or (end is not None and last > end):
                raise UnreadableError("an id is not of this chunk")
            if low and people.id[low - 1] >= first:
                raise UnreadableError("its ids do not ascend")
        eligible[task] += int(np.searchsorted(people.eligible, high) - np.searchsorted(people.eligible, low))
    for task, part in read:
        with naming(task):
            if eligible[task] != part.header.eligible:
                raise UnreadableError("their counts are impossible")


def _joined(blocks: list[People]) -> People:
    """The people of all blocks; indexes of the eligible ones are those of the run."""

    def column[T: np.generic](name: str, kind: type[T]) -> np.ndarray[tuple[int], np.dtype[T]]:
        return np.concatenate([np.empty(0, kind), *(getattr(block, name) for block in blocks)])

    lows = np.cumsum([0, *(len(block.id) for block in blocks)]).tolist()
    eligible = [block.eligible + np.int32(low) for block, low in zip(blocks, lows, strict=False)]
    return People(
        id=column("id", np.int64),
        state=column("state", np.uint8),
        birth_code=column("birth_code", np.int16),
        birth_year=column("birth_year", np.int16),
        effective_code=column("effective_code", np.int16),
        has_phone=column("has_phone", np.bool_),
        eligible=np.concatenate([np.empty(0, np.int32), *eligible]),
    )


def settle_parts(
    read: MergeRead, related: Related, rules: Rules, as_of: int, threads: int, limits: Limits = NO_LIMITS
) -> Outcome:
    """What `mailtide.rules.decide.decide` gives of the whole. as_of: days since 1970-01-01. Raises BadPartError, and
    DatabaseError when more could come of it than the limits allow."""
    ground = lay_ground(related, read.people, rules, as_of)
    check_volume(ground, limits)
    handled = Handled(related, rules, ground.table)
    codec = BlockCodec(ground)

    def make(piece: _Piece) -> Chunk:
        with naming(piece.task):
            proposals = codec.read(piece.cursor, piece.low, piece.high)
        return with_post_window(ground, handled, leave_out_handled(proposals, handled))

    with ThreadPoolExecutor(threads) as pool:
        chunks = list(pool.map(make, read.pieces))
        chunks = chunks or [with_post_window(ground, handled, Proposals.none())]
        desired, notes = settle(ground, chunks, pool)
    return Outcome(
        desired=desired,
        eligible=len(read.people.eligible),
        skipped_contacts={reason: read.skipped_contacts.get(reason, 0) for reason in _REASONS},
        notes={"state_zip_mismatch": read.state_zip_mismatch, **notes},
    )
