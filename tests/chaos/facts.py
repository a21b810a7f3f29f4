"""What stands in the bucket, at Fly and in the queues after a scenario: all that a verdict needs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mailtide.contracts import Done, Latest, Lock, OpenMarker, Plan, Result


@dataclass(frozen=True, slots=True)
class Version:
    """One version that the organisation's database had."""

    etag: str
    last_modified: datetime
    body: bytes
    uploaded: bool
    """By the customer; else it was published."""
    good: bool = True
    """Of an upload: whether a run can use it."""


@dataclass(frozen=True, slots=True)
class Run:
    """The objects of one run."""

    run: str
    plan: Plan | None
    result: Result | None
    done: Done | None
    cancelled_at: datetime | None = None
    """When a person said first that it is to end, and was told that it will."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as the Fly server knows it."""

    id: str
    run: str
    task: str
    attempt: int
    created_at: datetime
    alive: bool
    age_s: float
    """How old it was when it was last seen alive."""


@dataclass(frozen=True, slots=True)
class Organisation:
    """Everything of one organisation; versions: oldest first, the last one stands."""

    org: str
    versions: tuple[Version, ...]
    runs: tuple[Run, ...]
    machines: tuple[Machine, ...]
    latest: Latest
    lock: Lock | None
    markers: tuple[OpenMarker, ...] = ()
    multipart_uploads: tuple[str, ...] = ()

    def version(self, etag: str) -> Version | None:
        """The version with that ETag."""
        return next((version for version in self.versions if version.etag == etag), None)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that a function failed five times."""

    queue: str
    body: str


@dataclass(frozen=True, slots=True)
class Facts:
    """After a scenario. struck: how often each kind of fault took effect."""

    organisations: tuple[Organisation, ...]
    struck: Mapping[str, int]
    failing: frozenset[str] = frozenset()
    """Functions of which calls were made to fail: their dead letters are explained."""
    machine_limit_s: float = 132.0
    dead_letters: tuple[DeadLetter, ...] = ()
    problems: tuple[str, ...] = field(default=())
    """What kept the scenario from coming to rest."""


def endings(facts: Facts) -> Counter[str]:
    """How many runs ended in which way."""
    ended: list[Done] = [run.done for org in facts.organisations for run in org.runs if run.done]
    return Counter(done.status for done in ended)
