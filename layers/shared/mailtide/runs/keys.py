"""The names of the objects in the bucket (docs/object-layout.md), and how to read them back."""

import re
from dataclasses import dataclass

from mailtide.contracts import ORG_PATTERN, RUN_PATTERN, TASK_PATTERN, DeliveredName

ORGS = "orgs/"
OPEN = "open/"
CALIBRATION = "calibration/machines.json"
"""What machines of each size were measured to do."""
RUNS = "runs/"
CHANGES = "changes/"
EXPORTS = "exports/"

_TRY = re.compile(
    rf"runs/(?P<org>{ORG_PATTERN[1:-1]})/(?P<run>{RUN_PATTERN[1:-1]})/tasks/(?P<task>{TASK_PATTERN[1:-1]})"
    r"/(?P<attempt>[1-9][0-9]?)/(?P<name>[^/]+)"
)
_RESULT = re.compile(rf"runs/(?P<org>{ORG_PATTERN[1:-1]})/(?P<run>{RUN_PATTERN[1:-1]})/result\.json")
_OPEN = re.compile(rf"open/(?P<org>{ORG_PATTERN[1:-1]})/(?P<run>{RUN_PATTERN[1:-1]})")
_SOURCE = re.compile(rf"orgs/(?P<org>{ORG_PATTERN[1:-1]})/contacts\.db")


def source(org: str) -> str:
    """The organisation's database."""
    return f"{ORGS}{org}/contacts.db"


def rules(org: str) -> str:
    """The organisation's rules file."""
    return f"{ORGS}{org}/rules.yaml"


def lock(org: str) -> str:
    """Who may publish."""
    return f"{ORGS}{org}/lock.json"


def latest(org: str) -> str:
    """The last handled source, and the intent."""
    return f"{ORGS}{org}/latest.json"


def feedback(org: str) -> str:
    """The folder of the feedback files."""
    return f"{ORGS}{org}/feedback/"


def feedback_folded(org: str) -> str:
    """Which feedback files the published database holds."""
    return f"{ORGS}{org}/feedback.json"


def webhook(org: str) -> str:
    """Where the ends of the organisation's runs are told."""
    return f"{ORGS}{org}/webhook.json"


_SHARED: dict[DeliveredName, tuple[str, str]] = {
    "schedule.changeset": (CHANGES, "changeset"),
    "contacts.blocks": (CHANGES, "blocks"),
    "schedule.parquet": (EXPORTS, "parquet"),
}


def shared(org: str, run: str, name: DeliveredName) -> str:
    """Where others find what a published run delivered beside its database."""
    prefix, suffix = _SHARED[name]
    return f"{prefix}{org}/{run}.{suffix}"


def published_folder(org: str) -> str:
    """Where the database with its published schedule stands when contacts.db is not replaced."""
    return f"{ORGS}{org}/published/"


def published(org: str, run: str) -> str:
    """The same, of one run."""
    return f"{published_folder(org)}{run}.db"


def marker(org: str, run: str) -> str:
    """The marker of an unfinished run."""
    return f"{OPEN}{org}/{run}"


def plan(org: str, run: str) -> str:
    """What a run is to do."""
    return f"{RUNS}{org}/{run}/plan.json"


def parts(org: str, run: str) -> str:
    """The folder of the tries that count."""
    return f"{RUNS}{org}/{run}/parts/"


def part(org: str, run: str, task: str) -> str:
    """Which try of a task counts."""
    return f"{parts(org, run)}{task}.json"


def result(org: str, run: str) -> str:
    """The outcome that finish_run carries out."""
    return f"{RUNS}{org}/{run}/result.json"


def done(org: str, run: str) -> str:
    """How the run ended."""
    return f"{RUNS}{org}/{run}/done.json"


def verdict(org: str, run: str) -> str:
    """What a person said about a held run."""
    return f"{RUNS}{org}/{run}/verdict.json"


def cancel(org: str, run: str) -> str:
    """A person's word that an open run is to end unpublished."""
    return f"{RUNS}{org}/{run}/cancel.json"


def tasks(org: str, run: str, task: str = "") -> str:
    """The folder of all tries of a task; of all tasks without one."""
    return f"{RUNS}{org}/{run}/tasks/{task}{'/' if task else ''}"


@dataclass(frozen=True, slots=True)
class TryKeys:
    """The objects of one try of one task."""

    org: str
    run: str
    task: str
    attempt: int

    def _key(self, name: str) -> str:
        return f"{tasks(self.org, self.run, self.task)}{self.attempt}/{name}"

    @property
    def document(self) -> str:
        """What the machine is to do."""
        return self._key("task.json")

    @property
    def launch(self) -> str:
        """The machine that was created."""
        return self._key("launch.json")

    @property
    def pool(self) -> str:
        """The kept machines that it may have."""
        return self._key("pool.json")

    @property
    def claim(self) -> str:
        """The process that works on it."""
        return self._key("claim.json")

    @property
    def manifest(self) -> str:
        """The last write of a machine that succeeded."""
        return self._key("manifest.json")

    @property
    def error(self) -> str:
        """How the try failed."""
        return self._key("error.json")

    def delivered(self, name: DeliveredName) -> str:
        """An object that the try delivered."""
        return self._key(name)


def parse_source(key: str) -> str | None:
    """The organisation of a database's key, None when the key is something else."""
    found = _SOURCE.fullmatch(key)
    return found["org"] if found else None


def parse_try(key: str) -> tuple[TryKeys, str] | None:
    """The try and the object's name in it, None when the key is something else."""
    found = _TRY.fullmatch(key)
    if found is None:
        return None
    return TryKeys(found["org"], found["run"], found["task"], int(found["attempt"])), found["name"]


def parse_result(key: str) -> tuple[str, str] | None:
    """(org, run) of a result, None when the key is something else."""
    found = _RESULT.fullmatch(key)
    return (found["org"], found["run"]) if found else None


def parse_marker(key: str) -> tuple[str, str] | None:
    """(org, run) of a marker, None when the key is something else."""
    found = _OPEN.fullmatch(key)
    return (found["org"], found["run"]) if found else None
