"""What a try delivered, and whether it can count: everything that can be told without taking the work apart."""

import hashlib

from pydantic import ValidationError

from mailtide.contracts import DELIVERIES, Delivered, Failure, Manifest, Plan, TaskPlan
from mailtide.contracts.candidates import UnreadableError, read_candidates
from mailtide.database.result_check import ExpectedResult, problem_of
from mailtide.errors import SourceChangedError
from mailtide.runs import keys, store
from mailtide.runs.services import Services
from mailtide.runs.share_out import BucketRanges

_SMALLEST_DATABASE_BYTES = 512
"""One page of SQLite's smallest size."""
MAX_CHECKED_BYTES = 64 << 20
"""Candidates beyond this are checked by the merge alone; 10,000,000 contacts in 8 chunks take 8 MB each."""


def read_delivery(services: Services, plan: Plan, task: TaskPlan, paths: keys.TryKeys) -> Manifest | Failure | None:
    """What a try delivered: a manifest whose objects are really there and its own, the reason why not, or nothing yet.

    Why a delivery cannot count is noted in error.json, so that the try is over for everybody.
    """
    stored = services.bucket.get(paths.manifest)
    if stored is None:
        return store.read_failure(services.bucket, paths)
    try:
        manifest = Manifest.model_validate_json(stored.body)
    except ValidationError:
        return _refuse(services, paths, "its manifest is not readable")
    problem = (
        _problem(services, task, paths, manifest)
        or _stranger(services, paths, manifest)
        or (_unreadable(services, plan, task, paths, manifest.delivered[0]) if task.kind == "chunk" else None)
        or _no_result(services, plan, paths, manifest)
    )
    return _refuse(services, paths, problem) if problem else manifest


def _problem(services: Services, task: TaskPlan, paths: keys.TryKeys, manifest: Manifest) -> str | None:
    names = [delivered.name for delivered in manifest.delivered]
    if task.kind == "chunk" and names != ["candidates.bin"]:
        return "it holds no candidates, or more than them"
    unsaid = manifest.report.get("changed") is True and not manifest.changed
    if task.kind != "chunk" and (unsaid or manifest.changed != ("contacts.db" in names)):
        return "its manifest contradicts itself"
    if not set(names) <= set(DELIVERIES[task.kind]):
        return "it holds what was not asked for"
    if any(delivered.size_bytes < 1 for delivered in manifest.delivered):
        return "it is empty"
    for delivered in manifest.delivered:
        if delivered.name == "contacts.db" and delivered.size_bytes < _SMALLEST_DATABASE_BYTES:
            return f"{delivered.name} is too small to be a database"
        if not _stands(services, paths, delivered):
            return _not_as_told(delivered)
    return None


def _stranger(services: Services, paths: keys.TryKeys, manifest: Manifest) -> str | None:
    """A manifest that names no files, or none that differ, would pass for another run's or try's by its contents."""
    claim = store.read_claim(services.bucket, paths)
    claimed = claim is not None and claim.token == manifest.token
    return None if claimed else "its manifest is not by the machine that claimed the try"


def _stands(services: Services, paths: keys.TryKeys, delivered: Delivered) -> bool:
    info = services.bucket.head(paths.delivered(delivered.name))
    return info is not None and (info.etag, info.size_bytes) == (delivered.etag, delivered.size_bytes)


def _unreadable(
    services: Services, plan: Plan, task: TaskPlan, paths: keys.TryKeys, delivered: Delivered
) -> str | None:
    """Candidates are small, and once their part is named the chunk is not made again: so they are read here.

    Rules, campaigns and suppressions are left to the merge, whose program and tables are those of the chunk.
    """
    if delivered.size_bytes > MAX_CHECKED_BYTES:
        return None
    key = paths.delivered(delivered.name)
    try:
        data = services.bucket.get_range(key, 0, delivered.size_bytes, etag=delivered.etag)
    except SourceChangedError:
        return _not_as_told(delivered)
    if hashlib.sha256(data).hexdigest() != delivered.sha256:
        return _not_as_told(delivered)
    try:
        header = read_candidates(data).header
        header.check(run=plan.run, task=task.task, as_of=plan.as_of, source=plan.read)
    except UnreadableError as error:
        return f"its candidates cannot be used: {error}"
    if (header.first_id, header.last_id) != (task.first_id, task.last_id):
        return "its candidates cannot be used: they are of other contacts"
    return None


def _no_result(services: Services, plan: Plan, paths: keys.TryKeys, manifest: Manifest) -> str | None:
    """A manifest fits whatever its machine has stored: so the database is looked at here, by a few ranged reads."""
    delivered = manifest.find("contacts.db")
    if delivered is None:
        return None
    ranges = BucketRanges(
        services.bucket, paths.delivered(delivered.name), etag=delivered.etag, size_bytes=delivered.size_bytes
    )
    likeness = plan.inspection.likeness if plan.inspection else None
    expected = ExpectedResult(run_id=plan.run, as_of=plan.as_of, report=manifest.report, likeness=likeness)
    try:
        return problem_of(ranges, expected)
    except SourceChangedError:
        return _not_as_told(delivered)


def _not_as_told(delivered: Delivered) -> str:
    return f"{delivered.name} is not what its manifest says"


def _refuse(services: Services, paths: keys.TryKeys, problem: str) -> Failure:
    failure = Failure(kind="bad_delivery", message=f"The machine delivered something unusable: {problem}.")
    return store.create_failure(services.bucket, paths, failure, written_at=services.clock.now())
