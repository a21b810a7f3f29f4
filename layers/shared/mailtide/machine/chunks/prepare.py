"""A pass that decides from the parts of chunks: of the contacts table it reads no column."""

from dataclasses import dataclass

from mailtide.contracts import TaskDocument
from mailtide.database.bulk import Source
from mailtide.database.read import read_campaigns, read_related
from mailtide.database.read_chunk import look_at
from mailtide.database.schema import Schema
from mailtide.errors import BadPartError
from mailtide.machine.chunks.merge import MergeRead, read_parts, settle_parts
from mailtide.machine.prepare import Prepared, prepare_whole
from mailtide.rules.config import Rules
from mailtide.rules.volume import NO_LIMITS, Limits


@dataclass(frozen=True, slots=True)
class MergePreparation:
    """What `mailtide.machine.schedule_pass.run_pass` is given as `prepare` for a merge.

    parts: task names and the bytes that they delivered, ascending by id.
    """

    document: TaskDocument
    parts: tuple[tuple[str, bytes], ...]
    limits: Limits = NO_LIMITS

    def __call__(self, source: Source, schema: Schema, rules: Rules, as_of: int, threads: int) -> Prepared:
        """Check the parts against the file, and read the rest from it. Raises BadPartError and DatabaseError.

        Where feedback has suppressed addresses since the chunks read them, all contacts are read anew.
        """
        campaigns = read_campaigns(source, schema)
        read = read_parts(self.document, self.parts, campaigns, rules, threads)
        suppressions_sha256, rows = look_at(source, schema)
        if read.suppressions_sha256 != suppressions_sha256:
            if not self.document.feedback:
                raise BadPartError("The chunks read other suppressions than those of the database.")
            return prepare_whole(source, schema, rules, as_of, threads, self.limits)
        if read.rows != rows:
            raise BadPartError(f"The chunks hold {read.rows} rows of contacts, and the database {rows}.")
        return _prepared(source, schema, rules, as_of, threads, read, self.limits)


def _prepared(
    source: Source, schema: Schema, rules: Rules, as_of: int, threads: int, read: MergeRead, limits: Limits
) -> Prepared:
    rest = read_related(source, schema, read.people.id, threads)
    quality = {name: read.quality.get(name, 0) + rest.quality.get(name, 0) for name in {*read.quality, *rest.quality}}
    return Prepared(
        ids=read.people.id,
        contact_rows=read.rows,
        invalid_ids=read.invalid_ids,
        quality={name: count for name, count in sorted(quality.items()) if count},
        standing=rest.standing,
        decide=lambda: settle_parts(read, rest.related, rules, as_of, threads, limits),
        step="settle",
    )
