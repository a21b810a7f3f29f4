"""What a pass knows before it decides, and how it decides: from the whole file, or from the parts of chunks."""

from collections.abc import Callable
from dataclasses import dataclass

from mailtide.database.bulk import Source
from mailtide.database.read import read_inputs
from mailtide.database.schema import Schema
from mailtide.database.standing import Standing
from mailtide.machine.memory import available_memory_bytes
from mailtide.rules.columns import Int64, Outcome
from mailtide.rules.config import Rules
from mailtide.rules.decide import decide
from mailtide.rules.volume import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What was read; counts as of `mailtide.database.read.InputsRead`."""

    ids: Int64
    """Of all contacts, strictly ascending."""
    contact_rows: int
    invalid_ids: int
    quality: dict[str, int]
    standing: Standing | None
    decide: Callable[[], Outcome]
    step: str = "decide"
    """The name of deciding among the seconds of the report."""


type Prepare = Callable[[Source, Schema, Rules, int, int], Prepared]
"""From (file, schema, rules, as_of in days since 1970-01-01, threads). Raises DatabaseError."""


def prepare_whole(
    source: Source, schema: Schema, rules: Rules, as_of: int, threads: int, limits: Limits | None = None
) -> Prepared:
    """Everything from the file. limits: None for what this machine's memory allows."""
    limits = limits or Limits(memory_bytes=available_memory_bytes())
    read = read_inputs(source, schema, threads)
    return Prepared(
        ids=read.inputs.contacts.id,
        contact_rows=read.contact_rows,
        invalid_ids=read.invalid_ids,
        quality=read.quality,
        standing=read.standing,
        decide=lambda: decide(read.inputs, rules, as_of, threads, limits=limits),
    )
