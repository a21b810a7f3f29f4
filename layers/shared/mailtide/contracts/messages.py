"""Every message on a queue of the run functions."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from mailtide.contracts.base import Contract, Org, RunId, TaskName, Trigger, TryNumber


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


class WebhookMessage(Contract):
    """Tell an organisation's webhook that a run has ended. It holds neither the address nor a secret."""

    kind: Literal["webhook"] = "webhook"
    org: Org
    run: RunId
    attempt: TryNumber = 1
    not_before: datetime | None = None
    """When the try is due: a queue holds a message back for 15 minutes at most."""


class WatchMessage(Contract):
    """Every minute: bring on what should have moved."""

    kind: Literal["watch"] = "watch"


type Message = Annotated[
    PlanMessage | TickMessage | LaunchMessage | CollectMessage | FinishMessage | WatchMessage | WebhookMessage,
    Field(discriminator="kind"),
]
MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)
