"""Publishing what a run delivered, as the organisation's sync mode has it."""

from dataclasses import replace

from mailtide.contracts import Latest, Part, Plan, PublishedFile
from mailtide.errors import StaleWriteError
from mailtide.runs import keys, store
from mailtide.runs.publish import Publication, confirm_unchanged, publish
from mailtide.runs.services import Services
from mailtide.runs.share import kept_file, share


def publish_part(services: Services, plan: Plan, part: Part) -> Publication:
    """Share what stands beside the database; then replace contacts.db on the condition that it is still the planned source,
    or (sync mode `changeset`) leave it alone and have latest.json, on the same condition, name the changeset.

    The caller holds the lock, and records the publication over the latest.json that it rests on.
    """
    database = part.manifest.find("contacts.db")
    if database is None:
        return _unchanged(services, plan)
    latest = store.read_latest(services.bucket, plan.org)
    file = None
    if latest.value.run != plan.run:
        try:
            file = share(services, plan, part)
        except StaleWriteError:
            return Publication("lost", latest)
    if plan.sync == "changeset":
        return _name(services, plan, latest, file)
    source_key = keys.TryKeys(plan.org, plan.run, part.task, part.attempt).delivered("contacts.db")
    return publish(services, plan, database, source_key)


def _name(services: Services, plan: Plan, latest: store.Versioned[Latest], file: PublishedFile | None) -> Publication:
    """What latest.json names stays published, even if the source was replaced before done.json was written."""
    if latest.value.run == plan.run:
        return Publication(
            "published" if latest.value.status == "published" else "lost", latest, None, latest.value.file
        )
    return replace(confirm_unchanged(services, plan), published_etag=None, file=file)


def _unchanged(services: Services, plan: Plan) -> Publication:
    """Nothing to publish: what stands published stays so, be it the source or a file beside it."""
    publication = confirm_unchanged(services, plan)
    file = kept_file(publication.seen.value, plan) if plan.file is not None else None
    return publication if file is None else replace(publication, published_etag=None, file=file)
