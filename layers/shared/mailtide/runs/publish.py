"""Publishing a result: stage the copy, write the intent, complete it on the condition that the source is unchanged.

The upload id is the fence. Whoever wants to write latest.json over an intent aborts its upload first and then looks at
the source: with the intent's expected ETag it was published, otherwise it never will be. So an overtaken finish_run
can publish only until its intent is settled.
"""

from dataclasses import dataclass
from typing import Literal

from mailtide.contracts import Delivered, Intent, Latest, Plan, PublishedFile, new_token
from mailtide.errors import NotFoundError, StaleWriteError
from mailtide.ports import StagedCopy
from mailtide.runs import keys, store
from mailtide.runs.brake import baseline_of
from mailtide.runs.record import end, end_previous
from mailtide.runs.services import Services
from mailtide.runs.share import lengthened

type Ending = Literal["published", "superseded", "lost", "again"]

_ROUNDS = 6


@dataclass(frozen=True, slots=True)
class Publication:
    """How the look, or the attempt to publish, ended; `published_etag` when it did.

    seen: the latest.json that the decision rests on. Only a write over exactly this version may record it.
    """

    ending: Ending
    seen: store.Versioned[Latest]
    published_etag: str | None = None
    file: PublishedFile | None = None
    """Where the published schedule stands when contacts.db is not replaced."""


def publish(services: Services, plan: Plan, delivered: Delivered, source_key: str) -> Publication:
    """Publish one delivered database over the planned source. The caller holds the lock.

    `lost`: what was delivered is gone or was written over, so the run has failed. `again`: others kept writing
    latest.json; the queue or the watcher calls again.
    """
    for _ in range(_ROUNDS):
        current = store.read_latest(services.bucket, plan.org)
        publication = _round(services, plan, delivered, source_key, current)
        if publication is not None:
            return publication
    return Publication("again", current)


def confirm_unchanged(services: Services, plan: Plan) -> Publication:
    """For a pass that found no difference: the source as it stands is the published schedule, unless it was replaced."""
    for _ in range(_ROUNDS):
        current = store.read_latest(services.bucket, plan.org)
        if current.value.intent is not None:
            settle_intent(services, plan.org, current)
            continue
        standing = look_at_source(services, plan, current)
        if standing == "present":
            return Publication("published", current, plan.source.etag)
        if standing == "replaced":
            return Publication("superseded", current)
    return Publication("again", current)


def _round(
    services: Services, plan: Plan, delivered: Delivered, source_key: str, current: store.Versioned[Latest]
) -> Publication | None:
    """One step from latest.json as it was just read; None: look again."""
    latest = current.value
    if latest.run == plan.run:
        return Publication("published" if latest.status == "published" else "lost", current, latest.published_etag)
    if latest.intent is None:
        return _begin(services, plan, delivered, source_key, current)
    if latest.intent.run != plan.run:
        settle_intent(services, plan.org, current)
        return None
    return _complete(services, plan, latest.intent, current)


def _begin(
    services: Services, plan: Plan, delivered: Delivered, source_key: str, current: store.Versioned[Latest]
) -> Publication | None:
    """Stage the copy and write the intent."""
    standing = look_at_source(services, plan, current)
    if standing != "present":
        return Publication("superseded", current) if standing == "replaced" else None
    target = keys.source(plan.org)
    size_bytes = delivered.size_bytes
    try:
        staged = services.bucket.stage_copy(source_key, target, source_etag=delivered.etag, size_bytes=size_bytes)
    except StaleWriteError:
        return Publication("lost", current)
    intent = Intent(
        run=plan.run,
        source=plan.source,
        upload_id=staged.upload_id,
        part_etags=staged.part_etags,
        expected_etag=staged.expected_etag,
    )
    wanted = current.value.model_copy(update={"token": new_token(), "intent": intent})
    try:
        store.write_latest(services.bucket, plan.org, wanted, expected_etag=current.etag)
    except StaleWriteError:
        services.bucket.abort_copy(target, staged.upload_id)
    return None


def _complete(services: Services, plan: Plan, intent: Intent, current: store.Versioned[Latest]) -> Publication | None:
    """Complete the upload of this run's intent, whoever began it."""
    target = keys.source(plan.org)
    staged = StagedCopy(upload_id=intent.upload_id, part_etags=intent.part_etags, expected_etag=intent.expected_etag)
    try:
        services.bucket.complete_copy(target, staged, expected_etag=plan.source.etag)
    except (StaleWriteError, NotFoundError):
        if not _settle(services, plan.org, intent):
            _drop(services, plan.org, current)
            return None
    return Publication("published", current, intent.expected_etag)


def _drop(services: Services, org: str, current: store.Versioned[Latest]) -> None:
    """Take an intent that was never carried out out of latest.json; losing is fine, the caller looks again."""
    try:
        wanted = current.value.model_copy(update={"token": new_token(), "intent": None})
        store.write_latest(services.bucket, org, wanted, expected_etag=current.etag)
    except StaleWriteError:
        return


def _settle(services: Services, org: str, intent: Intent) -> bool:
    """Make sure that an intent's upload can no longer be completed, and say whether it was."""
    services.bucket.abort_copy(keys.source(org), intent.upload_id)
    source = store.read_source(services.bucket, org)
    return source is not None and source.etag == intent.expected_etag


def settle_intent(services: Services, org: str, current: store.Versioned[Latest]) -> None:
    """End the publication of a run that no longer holds the lock: done.json first when it was published, then
    latest.json without the intent. Losing against another writer is fine: the caller looks again."""
    intent = current.value.intent
    if intent is None:
        return
    if not _settle(services, org, intent):
        _drop(services, org, current)
        return
    end(services, org, intent.run, "published", intent.expected_etag)
    if current.value.run != intent.run:
        end_previous(services, org, current.value)
    plan, result = (
        store.read_plan(services.bucket, org, intent.run),
        store.read_result(services.bucket, org, intent.run),
    )
    wanted = Latest(
        run=intent.run,
        status="published",
        source=intent.source,
        as_of=plan.as_of if plan else None,
        published_etag=intent.expected_etag,
        baseline=baseline_of(plan, result.part) if plan and result and result.part else None,
        sync=plan.sync if plan else "replace",
        written_by=intent.run,
        chain=lengthened(current.value, plan, result.part) if plan and result else current.value.chain,
    )
    try:
        store.write_latest(services.bucket, org, wanted, expected_etag=current.etag)
    except StaleWriteError:
        return


def look_at_source(
    services: Services, plan: Plan, before: store.Versioned[Latest]
) -> Literal["present", "replaced", "again"]:
    """Whether the planned source still stands. It counts as replaced only when latest.json is still the version read
    before the look: otherwise the new object may be the run's own output. It counts as present only while the run has
    not ended: a version that was gone when somebody else ended it may be back."""
    source = store.read_source(services.bucket, plan.org)
    if source is not None and store.same_source(source, plan.source):
        return "present" if store.read_done(services.bucket, plan.org, plan.run) is None else "again"
    return "replaced" if store.read_latest(services.bucket, plan.org).etag == before.etag else "again"
