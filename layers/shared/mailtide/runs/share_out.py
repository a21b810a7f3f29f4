"""From what planning read of the database to the tasks of the run: how many machines, and which ids each of them gets."""

from dataclasses import dataclass, replace

from mailtide.contracts import OpenMarker, TaskPlan
from mailtide.database.borders import chunk_borders
from mailtide.database.estimate import DatabaseFacts
from mailtide.errors import BudgetExceededError, DatabaseError
from mailtide.ports import Bucket
from mailtide.runs import keys
from mailtide.runs.calibration import read_calibration
from mailtide.runs.services import Services
from mailtide.runs.sizing import Sizing, size_run
from mailtide.runs.speeds import Speeds


@dataclass(frozen=True, slots=True)
class BucketRanges:
    """The source of a run as mailtide.database.ranged.RangeReader; every read insists on the same version."""

    bucket: Bucket
    key: str
    etag: str
    size_bytes: int

    @classmethod
    def of(cls, bucket: Bucket, marker: OpenMarker) -> "BucketRanges":
        """The version that a run was opened for."""
        source = marker.source
        return cls(bucket, keys.source(marker.org), source.etag, source.size_bytes)

    def read(self, offset: int, length: int) -> bytes:
        """The bytes. SourceChangedError when the object was replaced."""
        return self.bucket.get_range(self.key, offset, length, etag=self.etag)


def plan_tasks(
    services: Services, marker: OpenMarker, facts: DatabaseFacts, *, read_bytes: int, only_one: bool
) -> tuple[Sizing, tuple[TaskPlan, ...]]:
    """The machines that meet the deadline for least, and their tasks. SourceChangedError.

    read_bytes: size of the file that the machines read. only_one: one machine, whatever it takes.

    One machine does all of it where the ids cannot be cut: they are not the table's own order, or its pages are not to be
    understood. Should they be damaged, that machine says so.
    """
    settings = services.settings
    speeds = Speeds(settings, read_calibration(services.bucket))
    contacts, size_bytes = facts.contacts_estimate, read_bytes
    sizing = size_run(
        settings, contacts=contacts, size_bytes=size_bytes, speeds=speeds, max_chunks=0 if only_one else None
    )
    borders: list[int] = []
    if sizing.chunks:
        try:
            borders = chunk_borders(BucketRanges.of(services.bucket, marker), facts, sizing.chunks)
        except (DatabaseError, BudgetExceededError):
            borders = []
    if sizing.chunks and not borders:
        sizing = size_run(settings, contacts=contacts, size_bytes=size_bytes, speeds=speeds, max_chunks=0)
    return replace(sizing, chunks=len(borders) + 1 if borders else 0), sizing.tasks(borders)
