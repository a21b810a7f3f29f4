"""How a run ends."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from mailtide.contracts.base import Contract, Handled, Org, RunId, SyncMode, TaskName, TryNumber, new_token
from mailtide.contracts.plan import Failure
from mailtide.contracts.tasks import DeliveredName, Launch, Part


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


class MachineUse(Contract):
    """A machine of a run, whether or not its try counts, and what it cost."""

    task: TaskName
    attempt: TryNumber
    launch: Launch
    seconds: float
    """From its creation to its last write; to the run's outcome when it left none."""
    usd: float


class Step(Contract):
    """A point in the life of a run."""

    name: str
    at: datetime


class Shared(Contract):
    """An object that a published run leaves for those who use its schedule."""

    name: DeliveredName
    key: str
    size_bytes: int
    sha256: str
    etag: str


class Cancellation(Contract):
    """runs/{org}/{run}/cancel.json: a person wants this run to end unpublished."""

    token: str = Field(default_factory=new_token)
    by: str = Field(min_length=1, max_length=100)
    """Who said so: a user of the command line, or the name of a token."""
    reason: str | None = Field(default=None, max_length=300)
    decided_at: datetime

    @property
    def failure(self) -> Failure:
        """What ends the run."""
        why = f": {self.reason.rstrip('.')}." if self.reason else "."
        return Failure(kind="cancelled", message=f"Cancelled by {self.by}{why}")


class Done(Contract):
    """runs/{org}/{run}/done.json: how the run ended."""

    token: str = Field(default_factory=new_token)
    org: Org
    run: RunId
    status: Literal["superseded"] | Handled
    reason: str | None = None
    """One sentence unless published."""
    cancelled: Cancellation | None = None
    """Of a failed run that a person ended."""
    changed: bool = False
    published_etag: str | None = None
    sync: SyncMode = "replace"
    shared: tuple[Shared, ...] = ()
    """What was published beside contacts.db, or in its place."""
    as_of: date | None = None
    report: dict[str, object] | None = None
    steps: tuple[Step, ...] = ()
    machine: Launch | None = None
    """The one that decided."""
    machines: tuple[MachineUse, ...] = ()
    """All of them, by task and try."""
    cost: Cost | None = None
    """Of all machines."""
    tries: int = 0
    """Of the task that needed the most."""
    finished_at: datetime


class Verdict(Contract):
    """runs/{org}/{run}/verdict.json: what a person said about a held run."""

    token: str = Field(default_factory=new_token)
    approved: bool
    decided_at: datetime


class RunFinished(Contract):
    """Detail of the event `RunFinished` on the bus; at least once, so consumers keep the run id."""

    org: Org
    run: RunId
    status: Literal["superseded"] | Handled
    reason: str | None
    changed: bool
    published_etag: str | None
    sync: SyncMode = "replace"
    shared: tuple[Shared, ...] = ()
    as_of: date | None
    finished_at: datetime
