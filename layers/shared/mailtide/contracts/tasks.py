"""What a machine is told, and what it leaves."""

from datetime import date, datetime
from typing import Literal, get_args

from pydantic import Field

from mailtide.contracts.base import Contract, Org, Profile, RunId, SyncMode, TaskKind, TaskName, TryNumber, new_token
from mailtide.contracts.feedback import FeedbackInput
from mailtide.contracts.plan import Failure, TaskPlan
from mailtide.contracts.state import SourceRef
from mailtide.machines import MachineSize

type DeliveredName = Literal[
    "contacts.db", "candidates.bin", "schedule.changeset", "schedule.parquet", "contacts.blocks"
]
"""Objects that a try may deliver: the database with its schedule, a chunk's candidates in packed columns, and beside a
database its changeset, the planned rows as Parquet, and the digests of its blocks."""

_SCHEDULE: tuple[DeliveredName, ...] = ("contacts.db", "schedule.changeset", "schedule.parquet", "contacts.blocks")
DELIVERED_NAMES: frozenset[str] = frozenset(get_args(DeliveredName.__value__))
"""All of these."""

DELIVERIES: dict[TaskKind, tuple[DeliveredName, ...]] = {
    "whole": _SCHEDULE,
    "chunk": ("candidates.bin",),
    "merge": _SCHEDULE,
}
"""What each kind of task may deliver when it found something to do; of a schedule's, only the database always."""


class PartsUrls(Contract):
    """Presigned URLs of one multipart upload, which was begun for one object of one try."""

    part_bytes: int
    """Of each part but the last."""
    put: tuple[str, ...]
    """By part number, from 1; as many as there may be."""
    complete: str


class TaskUrls(Contract):
    """Presigned URLs for exactly the objects of one try."""

    source_get: str
    source_blocks_get: str | None = None
    """Digests of the source's blocks, where a machine may have an older version of it and our own run published this one."""
    claim_put: str
    claim_get: str
    manifest_put: str
    error_put: str
    deliver_put: dict[DeliveredName, str]
    """For each object that the task delivers."""
    deliver_parts: dict[DeliveredName, PartsUrls] = Field(default_factory=dict)
    """Of those that may be too large for one request: what has more than a part goes this way."""


class PartInput(Contract):
    """A chunk's candidates, for the merge to fetch."""

    task: TaskName
    get: str
    """A presigned URL."""
    size_bytes: int
    sha256: str


class TaskDocument(Contract):
    """runs/{org}/{run}/tasks/{task}/{try}/task.json: what a machine is to do. It holds no credentials but its URLs."""

    token: str = Field(default_factory=new_token)
    org: Org
    run: RunId
    task: TaskPlan
    attempt: TryNumber
    source: SourceRef
    source_part_bytes: int | None = None
    as_of: date
    planned_at: datetime
    """The time stamp of the rows that the pass writes."""
    rules_yaml: str | None
    rules_sha256: str
    profile: Profile
    sync: SyncMode = "replace"
    max_mails_per_contact: int | None = None
    """On the average of the eligible contacts; beyond it the database is refused. None: whatever fits into the memory."""
    urls: TaskUrls
    parts: tuple[PartInput, ...] = ()
    """Of a merge: every chunk, ascending."""
    feedback: tuple[FeedbackInput, ...] = ()
    """To be folded into the database before the pass, oldest first."""
    written_at: datetime


class KeptMachine(Contract):
    """A stopped machine in the version in which it was seen free."""

    machine_id: str
    version: str


class PoolChoice(Contract):
    """…/{try}/pool.json: the kept machines that a try may have, in this order. A version never comes back, so every launch
    of the try comes to the same one, or to none."""

    token: str = Field(default_factory=new_token)
    machines: tuple[KeptMachine, ...]


class Launch(Contract):
    """…/{try}/launch.json: the machine that was created for a try."""

    token: str = Field(default_factory=new_token)
    machine_id: str
    machine_name: str
    region: str | None
    size: MachineSize
    launched_at: datetime
    kept: bool = False
    """Whether it is one of the pool, which other tasks have had before and will have after."""


class Claim(Contract):
    """…/{try}/claim.json: the one process that works on a try."""

    token: str = Field(default_factory=new_token)
    machine_id: str | None
    claimed_at: datetime


class Delivered(Contract):
    """One object that a try delivered."""

    name: DeliveredName
    size_bytes: int
    sha256: str
    etag: str
    """As the PUT answered; publishing copies only an object that still has it."""
    previous_run: str | None = None
    """Of a changeset: the last run in the database that it leads on from; None without one."""


class Timings(Contract):
    """Seconds of each step on the machine."""

    fetch_s: float
    pass_s: float
    deliver_s: float


class Manifest(Contract):
    """…/{try}/manifest.json: the last write of a machine that succeeded."""

    token: str
    """The token of its claim."""
    changed: bool
    delivered: tuple[Delivered, ...]
    """Empty when the pass found no difference."""
    report: dict[str, object]
    """The pass's report (mailtide.machine.report.PassReport) as JSON."""
    timings: Timings
    started_at: datetime
    finished_at: datetime

    def find(self, name: DeliveredName) -> Delivered | None:
        """What was delivered under a name."""
        return next((delivered for delivered in self.delivered if delivered.name == name), None)


class TryError(Contract):
    """…/{try}/error.json: how a try failed, written by its machine or by whoever found it dead."""

    token: str = Field(default_factory=new_token)
    failure: Failure
    written_at: datetime


class Part(Contract):
    """runs/{org}/{run}/parts/{task}.json: the try that counts."""

    token: str = Field(default_factory=new_token)
    task: TaskName
    attempt: TryNumber
    manifest: Manifest
