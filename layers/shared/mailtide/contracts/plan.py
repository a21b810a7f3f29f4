"""What a run decides before any machine exists."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from mailtide.contracts.base import Contract, Org, Profile, RunId, SyncMode, TaskKind, TaskName, Trigger, new_token
from mailtide.contracts.feedback import FeedbackPlan
from mailtide.contracts.state import PublishedFile, SourceRef
from mailtide.machines import MachineSize

MAX_PUT_BYTES = 5 << 30
"""The most that S3 takes in one request."""
DELIVERY_PART_BYTES = 256 << 20
"""Of a delivery by a multipart upload."""
MAX_DELIVERY_PARTS = 160
MAX_DELIVERED_BYTES = DELIVERY_PART_BYTES * MAX_DELIVERY_PARTS
"""Of one object, in parts."""


class TaskPlan(Contract):
    """One machine's share of a run."""

    task: TaskName
    kind: TaskKind
    first_id: int | None = None
    """Inclusive bounds of the contact ids of a chunk; None for all."""
    last_id: int | None = None
    sizes: tuple[MachineSize, ...]
    """In order of preference: the first that has capacity is taken; after an out-of-memory the next larger."""
    threads: int


class PageDigest(Contract):
    """One page of a database file."""

    page: int
    """From 1."""
    sha256: str


class Likeness(Contract):
    """What a run leaves as it is in the database that it is given: by this its result is told from any other file."""

    page_size_bytes: int
    encoding: str
    """Python's name."""
    is_wal: bool
    surplus_bytes: int
    """Behind the last page that the header counts."""
    tables_sha256: str
    """Of the names and definitions of the tables that no run writes to."""
    contact_pages: tuple[PageDigest, ...]
    """A few leaves of contacts; none where SQLite may move them to other pages."""


class Inspection(Contract):
    """What planning read of the database, and what that took."""

    contacts_estimate: int
    page_size_bytes: int
    requests: int
    bytes_read: int
    warnings: tuple[str, ...] = ()
    likeness: Likeness | None = None
    """None in plans of before it was taken."""


class Failure(Contract):
    """Why something ended badly, in one sentence that is safe to show."""

    kind: Literal[
        "bad_input",
        "source_changed",
        "machine_lost",
        "out_of_memory",
        "timed_out",
        "launch_refused",
        "bad_delivery",
        "held",
        "cancelled",
        "internal",
    ]
    message: str

    @property
    def is_final(self) -> bool:
        """Whether another try could not end differently."""
        return self.kind in {"bad_input", "source_changed", "launch_refused"}


class Plan(Contract):
    """runs/{org}/{run}/plan.json: everything that a run decides before any machine exists."""

    token: str = Field(default_factory=new_token)
    org: Org
    run: RunId
    trigger: Trigger
    source: SourceRef
    as_of: date
    planned_at: datetime
    opened_at: datetime
    source_part_bytes: int | None = None
    """Part size of a multipart source: its ETag is then checked by the parts' MD5 digests."""
    rules_yaml: str | None
    rules_sha256: str
    profile: Profile = "highperf"
    approved: RunId | None = None
    sync: SyncMode = "replace"
    file: PublishedFile | None = None
    """What the pass reads in the source's place: its schedule as published so far (sync mode `changeset`)."""
    inspection: Inspection | None
    feedback: FeedbackPlan = FeedbackPlan()
    tasks: tuple[TaskPlan, ...]
    rejected: Failure | None = None
    """Set when the input cannot be used: no machine is launched."""
    deadline_s: int
    expected_s: float
    expected_usd: float

    @property
    def read(self) -> SourceRef:
        """The version that the pass reads: the source, or its schedule as published so far."""
        return self.source if self.file is None else self.file.ref(self.source)
