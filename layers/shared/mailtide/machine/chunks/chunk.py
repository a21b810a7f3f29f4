"""A chunk's share of a run: the proposals for its contacts, packed. No row of email_schedules is read for it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mailtide.contracts import TaskDocument
from mailtide.contracts.candidates import Block, PartHeader, write_candidates
from mailtide.database.read_chunk import ChunkRead
from mailtide.machine.chunks.blocks import BlockCodec, write_contacts
from mailtide.machine.chunks.part import compress
from mailtide.rules.config import Rules
from mailtide.rules.dates import days_since_epoch
from mailtide.rules.decide import CHUNK_CONTACTS, split_contacts
from mailtide.rules.ground import check_volume, digest_of, lay_ground
from mailtide.rules.people import judge
from mailtide.rules.propose import Proposer
from mailtide.rules.volume import NO_LIMITS, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """candidates.bin, and what it holds."""

    data: bytes
    header: PartHeader
    candidates: int
    missed: int


def propose_chunk(
    document: TaskDocument, rules: Rules, read: ChunkRead, threads: int, limits: Limits = NO_LIMITS
) -> Candidates:
    """The candidates of the contacts that were read, as they are delivered. DatabaseError beyond the limits."""
    contacts = read.inputs.contacts
    people, skipped, mismatches = judge(contacts)
    ground = lay_ground(read.inputs, people, rules, days_since_epoch(document.as_of))
    check_volume(ground, limits)
    proposer, codec = Proposer(ground, None), BlockCodec(ground)
    parts = split_contacts(people.eligible, len(contacts)) if len(contacts) else []

    def make(number: int) -> tuple[Block, bytes, int, int]:
        low = number * CHUNK_CONTACTS
        high = min(low + CHUNK_CONTACTS, len(contacts))
        proposals = proposer.propose(parts[number])
        raw = write_contacts(people, low, high) + codec.write(proposals, low)
        return (*compress(high - low, raw), len(proposals.rows), len(proposals.missed))

    with ThreadPoolExecutor(threads) as pool:
        made = list(pool.map(make, range(len(parts))))
    counts = {"invalid_id": read.invalid_ids, **skipped}
    header = PartHeader(
        run=document.run,
        task=document.task.task,
        first_id=document.task.first_id,
        last_id=document.task.last_id,
        as_of=document.as_of,
        source_etag=document.source.etag,
        source_size_bytes=document.source.size_bytes,
        rules_sha256=rules.sha256,
        suppressions_sha256=read.suppressions_sha256,
        sources_sha256=digest_of(ground.table.sources),
        rows=read.contact_rows,
        contacts=len(contacts),
        eligible=len(people.eligible),
        skipped_contacts={reason: count for reason, count in counts.items() if count},
        state_zip_mismatch=mismatches,
        quality=read.quality,
        shared_quality=read.shared_quality,
        blocks=tuple(block for block, _, _, _ in made),
    )
    return Candidates(
        data=write_candidates(header, [stored for _, stored, _, _ in made]),
        header=header,
        candidates=sum(rows for _, _, rows, _ in made),
        missed=sum(rows for _, _, _, rows in made),
    )
