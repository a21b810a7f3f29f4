"""Runs that are cut into chunks: their documents, and what chunks and merge make of tables in memory."""

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mailtide.contracts import SourceRef, TaskDocument, TaskKind, TaskPlan, TaskUrls
from mailtide.database.id_range import IdRange
from mailtide.database.local_reader import LocalReader
from mailtide.database.partial_file import USUAL, Manner, open_partial
from mailtide.database.read_chunk import ChunkRead, read_chunk
from mailtide.machine.chunks.chunk import propose_chunk
from mailtide.machine.chunks.merge import read_parts, settle_parts
from mailtide.machine.chunks.prepare import MergePreparation
from mailtide.machine.prepare import Prepare
from mailtide.machines import MachineSize
from mailtide.rules.columns import Contacts, Inputs, Outcome
from mailtide.rules.config import Rules
from mailtide.rules.dates import days_since_epoch

RUN = "7abd3c7bebca4a1f8d67"
PLANNED_AT = datetime.datetime(2026, 11, 21, 14, 2, 33, tzinfo=datetime.UTC)
SIZE = MachineSize(cpu_kind="shared", cpus=1, memory_mb=1024)
NOWHERE = TaskUrls(source_get="", claim_put="", claim_get="", manifest_put="", error_put="", deliver_put={})


def document(
    kind: TaskKind, rules: Rules, as_of: datetime.date, number: int = 0, ids: IdRange | None = None, **changed: object
) -> TaskDocument:
    ids = ids or IdRange()
    task = f"chunk-{number:04d}" if kind == "chunk" else kind
    made = TaskDocument(
        org="acme",
        run=RUN,
        task=TaskPlan(task=task, kind=kind, first_id=ids.first, last_id=ids.last, sizes=(SIZE,), threads=1),
        attempt=1,
        source=SourceRef(etag="e" * 32, last_modified=PLANNED_AT, size_bytes=1 << 20),
        as_of=as_of,
        planned_at=PLANNED_AT,
        rules_yaml=None,
        rules_sha256=rules.sha256,
        profile="highperf",
        urls=NOWHERE,
        written_at=PLANNED_AT,
    )
    return made.model_copy(update=changed)


def ranges(borders: Sequence[int]) -> list[IdRange]:
    """The ranges between borders, each the last id of its range."""
    lasts = [*sorted(set(borders) - {2**63 - 1}), None]
    firsts = [None, *(last + 1 for last in lasts if last is not None)]
    return [IdRange(first, last) for first, last in zip(firsts, lasts, strict=True)]


def even_borders(ids: Sequence[int], chunks: int) -> list[int]:
    """Last ids of all chunks of about equal counts but the last."""
    ordered = sorted(ids)
    return [ordered[len(ordered) * part // chunks] for part in range(1, chunks)] if ordered else []


def chunk_of(inputs: Inputs, ids: IdRange) -> ChunkRead:
    """What a chunk machine reads: the contacts of a range, and their targets."""
    keep = np.flatnonzero(ids.holds_each(inputs.contacts.id))
    new = np.full(len(inputs.contacts), -1, np.int32)
    new[keep] = np.arange(len(keep))
    mine = np.flatnonzero(new[inputs.targets.contact] >= 0)
    return ChunkRead(
        inputs=replace(
            inputs,
            contacts=Contacts(**{name: getattr(inputs.contacts, name)[keep] for name in Contacts.__slots__}),
            types=[],
            history=replace(inputs.history, **{n: getattr(inputs.history, n)[:0] for n in inputs.history.__slots__}),
            held=replace(inputs.held, **{n: getattr(inputs.held, n)[:0] for n in inputs.held.__slots__}),
            targets=replace(
                inputs.targets,
                contact=new[inputs.targets.contact[mine]],
                instance=inputs.targets.instance[mine],
                trigger=inputs.targets.trigger[mine],
            ),
            signals=replace(inputs.signals, **{n: getattr(inputs.signals, n)[:0] for n in inputs.signals.__slots__}),
        ),
        suppressions_sha256="0" * 64,
        contact_rows=len(keep),
        invalid_ids=0,
        quality={},
        shared_quality={},
    )


def parts_of(inputs: Inputs, rules: Rules, as_of: datetime.date, borders: Sequence[int]) -> list[tuple[str, bytes]]:
    """What the chunks between these borders deliver."""
    found = []
    for number, ids in enumerate(ranges(borders)):
        given = document("chunk", rules, as_of, number, ids)
        found.append((given.task.task, propose_chunk(given, rules, chunk_of(inputs, ids), 1).data))
    return found


def decide_in_chunks(inputs: Inputs, rules: Rules, as_of: datetime.date, borders: Sequence[int]) -> Outcome:
    """What `decide` gives, by way of chunks."""
    parts = parts_of(inputs, rules, as_of, borders)
    read = read_parts(document("merge", rules, as_of), parts, inputs, rules, 1)
    return settle_parts(read, inputs, rules, days_since_epoch(as_of), 1)


def parts_of_file(
    path: Path, rules: Rules, as_of: datetime.date, borders: Sequence[int], threads: int, manner: Manner = USUAL
) -> Prepare:
    """Every chunk in turn, from a partial file of its own; gives the merge's preparation."""
    with LocalReader(path) as reader:
        merge = document("merge", rules, as_of)
        source = merge.source.model_copy(update={"size_bytes": reader.size_bytes})
        parts = []
        for number, ids in enumerate(ranges(borders)):
            given = document("chunk", rules, as_of, number, ids, source=source)
            with open_partial(reader, path.with_suffix(".partial"), manner) as partial:
                read = read_chunk(partial, ids, threads)
            parts.append((given.task.task, propose_chunk(given, rules, read, threads).data))
    return MergePreparation(merge.model_copy(update={"source": source}), tuple(parts))
