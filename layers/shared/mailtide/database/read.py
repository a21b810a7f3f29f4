"""Everything that the rules read of one database, as arrays."""

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, fields

import apsw
import numpy as np

from mailtide.database.bulk import Source
from mailtide.database.read_campaigns import (
    no_targets,
    read_campaign_types,
    read_instances,
    read_signals,
    read_targets,
)
from mailtide.database.read_contacts import read_contacts, read_suppressions
from mailtide.database.read_history import read_history
from mailtide.database.schema import Schema
from mailtide.database.standing import Standing, read_standing
from mailtide.database.untrusted import clear_errors
from mailtide.rules.columns import HeldKeys, History, Inputs, Int64, Related, Signals

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


@dataclass(frozen=True, slots=True)
class InputsRead:
    """The inputs, the number of rows of contacts (`invalid_id` ones included), and counts of what is wrong by kind."""

    inputs: Inputs
    contact_rows: int
    invalid_ids: int
    quality: dict[str, int]
    standing: Standing | None
    """The rows of email_schedules, where its pages could be read."""


def read_inputs(source: Source, schema: Schema, threads: int) -> InputsRead:
    """Read all that the rules need. Raises DatabaseError."""
    quality: Counter[str] = Counter()
    with clear_errors(), closing(source.open()) as connection:
        read = read_contacts(source, schema, read_suppressions(source, connection, schema), threads)
        quality.update(read.quality)
        related, standing = _read_related(source, connection, schema, read.contacts.id, quality, threads, targets=True)
    inputs = Inputs(contacts=read.contacts, **{field.name: getattr(related, field.name) for field in fields(Related)})
    counts = {name: count for name, count in sorted(quality.items()) if count}
    return InputsRead(inputs, read.rows, counts.pop("invalid_id", 0), counts, standing)


@dataclass(frozen=True, slots=True)
class RelatedRead:
    """What the rules need beside the contacts, but for the targets of campaigns; else as of InputsRead."""

    related: Related
    quality: dict[str, int]
    standing: Standing | None


def read_campaigns(source: Source, schema: Schema) -> Related:
    """The campaigns alone: no history, no targets, no signals. Raises DatabaseError."""
    with clear_errors(), closing(source.open()) as connection:
        return Related(
            types=[],
            history=_NO_HISTORY,
            held=HeldKeys(contact=_32, email_type=_32, event=_32, campaign=_64),
            campaign_types=read_campaign_types(source, connection, schema),
            instances=read_instances(source, connection, schema, Counter()),
            targets=no_targets(),
            signals=Signals(click_contact=_32, click_day=_32, answer_contact=_32, answer_day=_32, answer_yes=_FLAGS),
        )


def read_related(source: Source, schema: Schema, ids: Int64, threads: int) -> RelatedRead:
    """Read it for contacts that are known already. ids: strictly ascending, shape (n,). Raises DatabaseError."""
    quality: Counter[str] = Counter()
    with clear_errors(), closing(source.open()) as connection:
        related, standing = _read_related(source, connection, schema, ids, quality, threads, targets=False)
    return RelatedRead(related, dict(quality), standing)


def _read_related(
    source: Source,
    connection: apsw.Connection,
    schema: Schema,
    ids: Int64,
    quality: Counter[str],
    threads: int,
    *,
    targets: bool,
) -> tuple[Related, Standing | None]:
    standing = read_standing(source, schema, ids, threads)
    types, history, held = read_history(source, schema, ids, threads, standing)
    campaign_types = read_campaign_types(source, connection, schema)
    instances = read_instances(source, connection, schema, quality)
    related = Related(
        types=types,
        history=history,
        held=held,
        campaign_types=campaign_types,
        instances=instances,
        targets=read_targets(source, schema, ids, instances, quality, threads) if targets else no_targets(),
        signals=read_signals(source, connection, schema, ids, quality, threads),
    )
    return related, standing
