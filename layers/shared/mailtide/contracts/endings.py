"""How a run ends."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from mailtide.contracts.base import Contract, Handled, Org, RunId, new_token
from mailtide.contracts.plan import Failure
from mailtide.contracts.tasks import Launch, Part


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
