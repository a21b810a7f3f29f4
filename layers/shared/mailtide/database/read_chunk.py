"""What a chunk machine reads of a remote database: its own contacts, and the campaigns. No row of email_schedules."""

from collections import Counter
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from mailtide.database.id_range import IdRange
from mailtide.database.partial_file import PartialSource
from mailtide.database.read_campaigns import read_campaign_types, read_instances, read_targets
from mailtide.database.read_contacts import read_contacts, read_suppressions
from mailtide.database.schema import read_schema
from mailtide.database.untrusted import clear_errors
from mailtide.rules.columns import HeldKeys, History, Inputs, Signals

_SHARED = ("suppressions", "campaign_types", "campaign_instances", "contact_campaigns")


@dataclass(frozen=True, slots=True)
class ChunkRead:
    """The inputs of a chunk, without history and signals; and as of InputsRead, its rows and what is wrong by kind."""

    inputs: Inputs
    contact_rows: int
    invalid_ids: int
    quality: dict[str, int]
    shared_quality: dict[str, int]
    """What is wrong in tables that every chunk reads whole, and a merge does not."""


def read_chunk(source: PartialSource, within: IdRange, threads: int) -> ChunkRead:
    """Read the contacts of a range of ids, and what belongs to them. Raises DatabaseError."""
    shared: Counter[str] = Counter()
    with clear_errors(), closing(source.open()) as connection:
        schema = read_schema(connection)
        source.fetch_tables(schema, _SHARED)
        read = read_contacts(source, schema, read_suppressions(source, connection, schema), threads, within)
        instances = read_instances(source, connection, schema, Counter())
        inputs = Inputs(
            contacts=read.contacts,
            types=[],
            history=_NO_HISTORY,
            held=_NO_KEYS,
            campaign_types=read_campaign_types(source, connection, schema),
            instances=instances,
            targets=read_targets(source, schema, read.contacts.id, instances, shared, threads),
            signals=_NO_SIGNALS,
        )
    counts = {name: count for name, count in sorted(read.quality.items()) if count}
    return ChunkRead(
        inputs, read.rows, counts.pop("invalid_id", 0), counts, {name: count for name, count in shared.items() if count}
    )


_32, _64, _FLAGS = np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.bool_)
_NO_HISTORY = History(
    row_id=_64,
    contact=_32,
    email_type=_32,
    event=_32,
    send=_32,
    actual=_32,
    was_sent=_FLAGS,
    campaign=_64,
    priority=_64,
)
_NO_KEYS = HeldKeys(contact=_32, email_type=_32, event=_32, campaign=_64)
_NO_SIGNALS = Signals(click_contact=_32, click_day=_32, answer_contact=_32, answer_day=_32, answer_yes=_FLAGS)
