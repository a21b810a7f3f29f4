"""The kept versions of an organisation's database, and how an older one comes back: as a new upload, which gets a run."""

from collections.abc import Mapping
from dataclasses import dataclass

from mailtide.errors import InputError, MailtideError, NotFoundError, StaleWriteError
from mailtide.ports import VersionedBucket, VersionInfo
from mailtide.runs import keys, store
from mailtide.runs.verdicts import ended

_SHORTEST_PREFIX = 4


@dataclass(frozen=True, slots=True)
class Kept:
    """One version, and the run that published it; None for what the customer put there."""

    version: VersionInfo
    run: str | None


def list_versions(bucket: VersionedBucket, org: str) -> list[Kept]:
    """The versions of contacts.db, newest first. One request a run of the last 30 days."""
    found = _versions(bucket, org)
    published = _published_by(bucket, org) if found else {}
    return [Kept(version, published.get(version.etag)) for version in found]


def _versions(bucket: VersionedBucket, org: str) -> list[VersionInfo]:
    key = keys.source(org)
    found = [version for version in bucket.versions(key) if version.key == key and not version.is_marker]
    return sorted(found, key=lambda version: (version.is_latest, version.last_modified), reverse=True)


def _published_by(bucket: VersionedBucket, org: str) -> Mapping[str, str]:
    return {
        done.published_etag: done.run for done in reversed(ended(bucket, org)) if done.published_etag and done.changed
    }


def restore(bucket: VersionedBucket, org: str, wanted: str) -> tuple[VersionInfo, bool]:
    """Put an older version back, over the present one as it was when this began. wanted: its id, or the beginning of it.

    The object that comes of it is a new upload: its run brings the schedule up to this day, with all feedback. A run that is
    at work on the present version ends as superseded. Returns the version, and whether it gets a run: the last published
    one needs none. InputError when there is no such version or it stands already.
    """
    version = _find(_versions(bucket, org), org, wanted)
    present = store.read_source(bucket, org)
    if version.is_latest or (present is not None and present.etag == version.etag):
        raise InputError(f"This version is the present database of {org!r} already.")
    try:
        etag = bucket.restore_version(version, expected_etag=present.etag if present else None)
    except StaleWriteError:
        raise MailtideError(
            f"The database of {org!r} was replaced in this very moment; nothing was restored."
        ) from None
    except NotFoundError:
        raise InputError(f"This version of {org!r} is gone.") from None
    return version, etag != store.read_latest(bucket, org).value.published_etag


def _find(versions: list[VersionInfo], org: str, wanted: str) -> VersionInfo:
    found = [version for version in versions if version.version_id == wanted]
    if not found and len(wanted) >= _SHORTEST_PREFIX:
        found = [version for version in versions if version.version_id.startswith(wanted)]
    if not found:
        raise InputError(f"The database of {org!r} has no kept version {wanted!r}; mailtide orgs versions lists them.")
    if len(found) > 1:
        raise InputError(f"Several kept versions of {org!r} begin with {wanted!r}; give more of the id.")
    return found[0]
