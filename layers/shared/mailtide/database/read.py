"""Everything that the rules read of one database, as arrays."""

from collections import Counter
from dataclasses import dataclass

from mailtide.database.bulk import Source
from mailtide.database.read_campaigns import read_campaign_types, read_instances, read_signals, read_targets
from mailtide.database.read_contacts import read_contacts, read_suppressions
from mailtide.database.read_history import read_history
from mailtide.database.schema import Schema
from mailtide.database.standing import Standing, read_standing
from mailtide.database.untrusted import clear_errors
from mailtide.rules.columns import Inputs


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
    with clear_errors():
        connection = source.open()
        try:
            read = read_contacts(source, schema, read_suppressions(source, connection, schema), threads)
            quality.update(read.quality)
            ids = read.contacts.id
            standing = read_standing(source, schema, ids, threads)
            types, history, held = read_history(source, schema, ids, threads, standing)
            campaign_types = read_campaign_types(source, connection, schema)
            instances = read_instances(source, connection, schema, quality)
            inputs = Inputs(
                contacts=read.contacts,
                types=types,
                history=history,
                held=held,
                campaign_types=campaign_types,
                instances=instances,
                targets=read_targets(source, schema, ids, instances, quality, threads),
                signals=read_signals(source, connection, schema, ids, quality, threads),
            )
        finally:
            connection.close()
    counts = {name: count for name, count in sorted(quality.items()) if count}
    return InputsRead(inputs, read.rows, counts.pop("invalid_id", 0), counts, standing)
