"""Every object in the bucket and every message on a queue, as frozen pydantic models.

The layout of the keys is in `mailtide.runs.keys`; which object may be written when, and by whom, in docs/object-layout.md.
Times are UTC. Objects that are created once carry `token`, the random name of their writer: after a lost answer it tells
a writer that the object which stands there already is its own.
"""

import secrets
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from mailtide.machines import MachineSize

type Profile = Literal["highperf", "reliable"]
type Trigger = Literal["upload", "timer", "demand"]
type TaskKind = Literal["whole", "chunk", "merge"]
type Handled = Literal["published", "failed", "held"]
"""How a run ended that has dealt with its source."""

ORG_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
RUN_PATTERN = r"^[0-9a-f]{20}$"
TASK_PATTERN = r"^(whole|merge|chunk-[0-9]{4})$"

type Org = Annotated[str, Field(pattern=ORG_PATTERN)]
type RunId = Annotated[str, Field(pattern=RUN_PATTERN)]
type TaskName = Annotated[str, Field(pattern=TASK_PATTERN)]
type TryNumber = Annotated[int, Field(ge=1, le=99)]


def new_token() -> str:
    """A random name for one writer (128 bits, hexadecimal)."""
    return secrets.token_hex(16)


class Contract(BaseModel):
    """Base: immutable, and strict about what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_bytes(self) -> bytes:
        """The JSON that is stored or sent, in UTF-8."""
        return self.model_dump_json(indent=1).encode()


class SourceRef(Contract):
    """One version of an organisation's database: what HEAD says of it."""

    etag: str
    last_modified: datetime
    size_bytes: int


class Intent(Contract):
    """A publication that has begun: any finish_run of this run completes exactly this upload."""

    run: RunId
    source: SourceRef
    upload_id: str
    part_etags: tuple[str, ...]
    expected_etag: str


class Baseline(Contract):
    """What the last published schedule amounted to: the publish brake compares with it."""

    run: RunId
    rules_sha256: str
    contacts: int
    rows: int
    """Planned rows."""


class Latest(Contract):
    """orgs/{org}/latest.json: the last handled source, and the publication that is under way, if any."""

    token: str = Field(default_factory=new_token)
    run: RunId | None = None
    status: Handled | None = None
    source: SourceRef | None = None
    as_of: date | None = None
    published_etag: str | None = None
    """ETag of our own output; an object that has it starts no run."""
    baseline: Baseline | None = None
    intent: Intent | None = None


class Lock(Contract):
    """orgs/{org}/lock.json: who may publish, until when. Never deleted; `epoch` only grows."""

    token: str = Field(default_factory=new_token)
    owner: RunId | None
    epoch: int
    expires_at: datetime


class OpenMarker(Contract):
    """open/{org}/{run}: an unfinished run."""

    token: str = Field(default_factory=new_token)
    org: Org
    run: RunId
    trigger: Trigger
    source: SourceRef
    as_of: date | None
    """Fixed here for timer and demand runs; an upload's is fixed by plan.json."""
    approved: RunId | None = None
    """The held run that a person has approved, and that this one is to repeat and publish."""
    opened_at: datetime


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


class Inspection(Contract):
    """What planning read of the database, and what that took."""

    contacts_estimate: int
    page_size_bytes: int
    requests: int
    bytes_read: int
    warnings: tuple[str, ...] = ()


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
    inspection: Inspection | None
    tasks: tuple[TaskPlan, ...]
    rejected: Failure | None = None
    """Set when the input cannot be used: no machine is launched."""
    deadline_s: int
    expected_s: float
    expected_usd: float


class TaskUrls(Contract):
    """Presigned URLs for exactly the objects of one try."""

    source_get: str
    claim_put: str
    claim_get: str
    database_put: str
    manifest_put: str
    error_put: str


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
    urls: TaskUrls
    written_at: datetime


class Launch(Contract):
    """…/{try}/launch.json: the machine that was created for a try."""

    token: str = Field(default_factory=new_token)
    machine_id: str
    machine_name: str
    region: str | None
    size: MachineSize
    launched_at: datetime


class Claim(Contract):
    """…/{try}/claim.json: the one process that works on a try."""

    token: str = Field(default_factory=new_token)
    machine_id: str | None
    claimed_at: datetime


class Delivered(Contract):
    """One object that a try delivered."""

    name: Literal["contacts.db"]
    size_bytes: int
    sha256: str
    etag: str
    """As the PUT answered; publishing copies only an object that still has it."""


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


class Result(Contract):
    """runs/{org}/{run}/result.json: the outcome that finish_run carries out."""

    token: str = Field(default_factory=new_token)
    failure: Failure | None = None
    part: Part | None = None
    """Beside a failure: what was delivered and is not to be published."""
    tries: int = 0
    """Tries that were launched for the task that decided."""
    decided_at: datetime


class Cost(Contract):
    """Estimated dollars of a run at the prices of the settings."""

    machine_s: float
    machine_usd: float
    egress_usd: float
    requests_usd: float

    @property
    def total_usd(self) -> float:
        """The sum."""
        return self.machine_usd + self.egress_usd + self.requests_usd


class Step(Contract):
    """A point in the life of a run."""

    name: str
    at: datetime


class Done(Contract):
    """runs/{org}/{run}/done.json: how the run ended."""

    token: str = Field(default_factory=new_token)
    org: Org
    run: RunId
    status: Literal["superseded"] | Handled
    reason: str | None = None
    """One sentence unless published."""
    changed: bool = False
    published_etag: str | None = None
    as_of: date | None = None
    report: dict[str, object] | None = None
    steps: tuple[Step, ...] = ()
    machine: Launch | None = None
    cost: Cost | None = None
    tries: int = 0
    finished_at: datetime


class Verdict(Contract):
    """runs/{org}/{run}/verdict.json: what a person said about a held run."""

    token: str = Field(default_factory=new_token)
    approved: bool
    decided_at: datetime


class PlanMessage(Contract):
    """Plan a run for one organisation: after an upload, at its hour, on demand, or to go on with an opened run."""

    kind: Literal["plan"] = "plan"
    org: Org
    trigger: Trigger = "upload"
    as_of: date | None = None
    request_id: str | None = Field(default=None, max_length=64)
    """Makes each demand a run of its own."""
    approved: RunId | None = None
    """A held run that a person has approved."""
    run: RunId | None = None
    """An opened run that has no plan yet."""


class TickMessage(Contract):
    """Every 15 minutes: which organisations are due?"""

    kind: Literal["tick"] = "tick"


class LaunchMessage(Contract):
    """Launch one try of one task."""

    kind: Literal["launch"] = "launch"
    org: Org
    run: RunId
    task: TaskName
    attempt: TryNumber


class CollectMessage(Contract):
    """Look at what one try delivered."""

    kind: Literal["collect"] = "collect"
    org: Org
    run: RunId
    task: TaskName
    attempt: TryNumber


class FinishMessage(Contract):
    """Carry out a result, or the tail of a run that is done."""

    kind: Literal["finish"] = "finish"
    org: Org
    run: RunId


class WatchMessage(Contract):
    """Every minute: bring on what should have moved."""

    kind: Literal["watch"] = "watch"


type Message = Annotated[
    PlanMessage | TickMessage | LaunchMessage | CollectMessage | FinishMessage | WatchMessage,
    Field(discriminator="kind"),
]
MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)


class RunFinished(Contract):
    """Detail of the event `RunFinished` on the bus; at least once, so consumers keep the run id."""

    org: Org
    run: RunId
    status: Literal["superseded"] | Handled
    reason: str | None
    changed: bool
    published_etag: str | None
    as_of: date | None
    finished_at: datetime
