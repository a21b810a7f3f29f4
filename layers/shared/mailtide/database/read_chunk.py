"""What a chunk machine reads of a remote database: its own contacts, and the campaigns. No row of email_schedules."""

import hashlib
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, fields

from mailtide.database.bulk import Source
from mailtide.database.id_range import EVERY_ID, IdRange
from mailtide.database.partial_file import PartialSource
from mailtide.database.read import read_campaigns
from mailtide.database.read_campaigns import read_targets
from mailtide.database.read_contacts import read_contacts, read_suppressions
from mailtide.database.schema import Schema, read_schema
from mailtide.database.untrusted import clear_errors
from mailtide.rules.columns import Inputs, Related

_SHARED = ("suppressions", "campaign_types", "campaign_instances", "contact_campaigns")


@dataclass(frozen=True, slots=True)
class ChunkRead:
    """The inputs of a chunk, without history and signals; and as of InputsRead, its rows and what is wrong by kind."""

    inputs: Inputs
    suppressions_sha256: str
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
        source.fetch_roots(table for name in ("contacts", *_SHARED) if (table := schema.get(name)) is not None)
        for name in _SHARED:
            source.fetch_table(schema.get(name))
        source.fetch_table(schema.contacts, within if schema.contacts.rowid_alias == "id" else EVERY_ID)
        suppressions = read_suppressions(source, connection, schema)
        read = read_contacts(source, schema, suppressions, threads, within)
        campaigns = read_campaigns(source, schema)
        targets = read_targets(source, schema, read.contacts.id, campaigns.instances, shared, threads)
    related = {field.name: getattr(campaigns, field.name) for field in fields(Related)} | {"targets": targets}
    counts = {name: count for name, count in sorted(read.quality.items()) if count}
    return ChunkRead(
        inputs=Inputs(contacts=read.contacts, **related),
        suppressions_sha256=digest_of_suppressions(suppressions),
        contact_rows=read.rows,
        invalid_ids=counts.pop("invalid_id", 0),
        quality=counts,
        shared_quality={name: count for name, count in shared.items() if count},
    )


def look_at(source: Source, schema: Schema) -> tuple[str, int]:
    """The digest of the suppressions, and the rows of contacts, which SQLite counts without reading a record."""
    with clear_errors(), closing(source.open()) as connection:
        count = connection.execute(f"SELECT count(*) FROM {schema.contacts.sql_name} NOT INDEXED").get
        return digest_of_suppressions(read_suppressions(source, connection, schema)), int(count or 0)


def digest_of_suppressions(suppressions: set[str]) -> str:
    """SHA-256 of the suppressed addresses, in hexadecimal."""
    joined = "\n".join(sorted(suppressions))
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()
