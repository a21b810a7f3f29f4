"""What a published run leaves for those who use its schedule: copies under keys of their own, away from the run's objects.

The copies are made before the run is recorded as published, so that whatever latest.json and done.json name is there. They are
named by the run, so that making them again is harmless; a run that ends otherwise takes its own away.
"""

from mailtide.contracts import (
    CHAIN_LENGTH,
    ChangesetLink,
    Delivered,
    DeliveredName,
    Latest,
    Part,
    Plan,
    PublishedFile,
    Shared,
)
from mailtide.runs import keys
from mailtide.runs.services import Services
from mailtide.runs.store import same_source

_SHARED: tuple[DeliveredName, ...] = ("schedule.changeset", "schedule.parquet", "contacts.blocks")


def share(services: Services, plan: Plan, part: Part) -> PublishedFile | None:
    """Copy what was delivered to where it is found; in sync mode `changeset` the database too, which is returned.

    StaleWriteError when something that was delivered is no longer what its manifest says.
    """
    for delivered in _wanted(part):
        _copy(services, plan, part, delivered, keys.shared(plan.org, plan.run, delivered.name))
    database = part.manifest.find("contacts.db")
    if plan.sync != "changeset" or database is None:
        return None
    key = keys.published(plan.org, plan.run)
    etag = _copy(services, plan, part, database, key)
    return PublishedFile(run=plan.run, key=key, etag=etag, size_bytes=database.size_bytes)


def _copy(services: Services, plan: Plan, part: Part, delivered: Delivered, key: str) -> str:
    source = keys.TryKeys(plan.org, plan.run, part.task, part.attempt).delivered(delivered.name)
    return services.bucket.copy(source, key, source_etag=delivered.etag, size_bytes=delivered.size_bytes)


def _wanted(part: Part) -> list[Delivered]:
    return [delivered for delivered in part.manifest.delivered if delivered.name in _SHARED]


def shared_by(plan: Plan, part: Part | None) -> tuple[Shared, ...]:
    """What a published run has shared."""
    return tuple(
        Shared(
            name=delivered.name,
            key=keys.shared(plan.org, plan.run, delivered.name),
            size_bytes=delivered.size_bytes,
            sha256=delivered.sha256,
            etag=delivered.etag,
        )
        for delivered in (_wanted(part) if part else [])
    )


def withdraw(services: Services, plan: Plan, part: Part | None) -> None:
    """Take away what a run shared that was not published after all."""
    if part is None:
        return
    for delivered in _wanted(part):
        services.bucket.delete(keys.shared(plan.org, plan.run, delivered.name))
    if plan.sync == "changeset":
        services.bucket.delete(keys.published(plan.org, plan.run))


def lengthened(before: Latest, plan: Plan, part: Part | None) -> tuple[ChangesetLink, ...]:
    """The chain of latest.json with this run's changeset at its end."""
    delivered = part.manifest.find("schedule.changeset") if part else None
    if delivered is None or any(link.run == plan.run for link in before.chain):
        return before.chain
    link = ChangesetLink(
        run=plan.run,
        previous_run=delivered.previous_run,
        key=keys.shared(plan.org, plan.run, "schedule.changeset"),
        size_bytes=delivered.size_bytes,
    )
    return (*before.chain, link)[-CHAIN_LENGTH:]


def writer(before: Latest, plan: Plan, part: Part) -> str | None:
    """The run whose changes stand last in the published database, once this one is published."""
    if part.manifest.delivered or before.run == plan.run:
        return plan.run if part.manifest.delivered else before.written_by
    stood = plan.source.etag == before.published_etag or kept_file(before, plan) is not None
    return before.written_by if stood else None


def kept_file(before: Latest, plan: Plan) -> PublishedFile | None:
    """The file of the published schedule, as long as the organisation's database is the one that it was made for."""
    return before.file if before.source is not None and same_source(before.source, plan.source) else None


def remove_older(services: Services, plan: Plan, file: PublishedFile | None) -> None:
    """Delete the files of earlier runs of sync mode `changeset`. Safe to repeat, once latest.json names `file`."""
    if plan.file is None and file is None:
        return
    for info in list(services.bucket.list(keys.published_folder(plan.org))):
        if file is None or info.key != file.key:
            services.bucket.delete(info.key)
