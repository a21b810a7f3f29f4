"""Reading and writing the typed objects of a run, by the rules of docs/object-layout.md."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from mailtide.contracts import (
    Cancellation,
    Claim,
    Contract,
    Done,
    Failure,
    Latest,
    OpenMarker,
    Plan,
    Result,
    SourceRef,
    TryError,
)
from mailtide.errors import StaleWriteError
from mailtide.ports import Bucket
from mailtide.runs import keys


@dataclass(frozen=True, slots=True)
class Versioned[T: Contract]:
    """An object and the ETag of the version that was read; `etag` is None for a default that is not stored yet."""

    value: T
    etag: str | None


def read[T: Contract](bucket: Bucket, key: str, model: type[T]) -> T | None:
    """The object, None when there is none. pydantic.ValidationError when it is not what it should be."""
    stored = bucket.get(key)
    return None if stored is None else model.model_validate_json(stored.body)


def create_once[T: Contract](bucket: Bucket, key: str, value: T) -> T:
    """Create the object, or read the one that stands there already: the caller goes on with what is returned.

    Losing is no reason to stop: the winner may have died, or be oneself (a retried request whose first answer was lost).
    """
    try:
        bucket.create(key, value.to_bytes())
    except StaleWriteError:
        existing = read(bucket, key, type(value))
        if existing is None:
            raise
        return existing
    return value


def read_latest(bucket: Bucket, org: str) -> Versioned[Latest]:
    """latest.json, or an empty one that is not stored yet."""
    stored = bucket.get(keys.latest(org))
    if stored is None:
        return Versioned(Latest(), None)
    return Versioned(Latest.model_validate_json(stored.body), stored.etag)


def write_latest(bucket: Bucket, org: str, value: Latest, *, expected_etag: str | None) -> None:
    """Replace latest.json (create it when `expected_etag` is None). StaleWriteError when somebody else was first."""
    key = keys.latest(org)
    try:
        if expected_etag is None:
            bucket.create(key, value.to_bytes())
        else:
            bucket.replace(key, value.to_bytes(), expected_etag=expected_etag)
    except StaleWriteError:
        if read_latest(bucket, org).value.token != value.token:
            raise


def read_source(bucket: Bucket, org: str) -> SourceRef | None:
    """The present version of the organisation's database, None when there is none."""
    info = bucket.head(keys.source(org))
    if info is None:
        return None
    return SourceRef(etag=info.etag, last_modified=info.last_modified, size_bytes=info.size_bytes)


def read_plan(bucket: Bucket, org: str, run: str) -> Plan | None:
    """plan.json."""
    return read(bucket, keys.plan(org, run), Plan)


def read_marker(bucket: Bucket, org: str, run: str) -> OpenMarker | None:
    """The open/ marker."""
    return read(bucket, keys.marker(org, run), OpenMarker)


def read_result(bucket: Bucket, org: str, run: str) -> Result | None:
    """result.json."""
    return read(bucket, keys.result(org, run), Result)


def read_done(bucket: Bucket, org: str, run: str) -> Done | None:
    """done.json."""
    return read(bucket, keys.done(org, run), Done)


def read_cancellation(bucket: Bucket, org: str, run: str) -> Cancellation | None:
    """cancel.json."""
    return read(bucket, keys.cancel(org, run), Cancellation)


def read_failure(bucket: Bucket, paths: keys.TryKeys) -> Failure | None:
    """How a try failed, None when it has no error.json. A machine may have written anything there."""
    stored = bucket.get(paths.error)
    if stored is None:
        return None
    try:
        return TryError.model_validate_json(stored.body).failure
    except ValidationError:
        return Failure(kind="internal", message="The machine failed and left an unreadable error.")


def read_claim(bucket: Bucket, paths: keys.TryKeys) -> Claim | None:
    """Which process works on a try, None when nobody has said so. A machine may have written anything there."""
    try:
        return read(bucket, paths.claim, Claim)
    except ValidationError:
        return None


def create_failure(bucket: Bucket, paths: keys.TryKeys, failure: Failure, *, written_at: datetime) -> Failure:
    """Write error.json, so that the try is over for everybody, or read the one that stands there already."""
    try:
        bucket.create(paths.error, TryError(failure=failure, written_at=written_at).to_bytes())
    except StaleWriteError:
        return read_failure(bucket, paths) or failure
    return failure


def is_handled(latest: Latest, source: SourceRef) -> bool:
    """Whether this version of the database needs no run of its own: it was handled, or is our own output."""
    ours = {latest.published_etag, latest.intent.expected_etag if latest.intent else None}
    return source.etag in ours - {None} or (latest.source is not None and same_source(latest.source, source))


def same_source(one: SourceRef, other: SourceRef) -> bool:
    """Whether both are the same version of the database."""
    return (one.etag, one.last_modified) == (other.etag, other.last_modified)


def age_s(now: datetime, moment: datetime) -> float:
    """Seconds since a moment; negative when clocks disagree."""
    return (now - moment).total_seconds()


def organisations(bucket: Bucket) -> Iterator[str]:
    """Every organisation that has objects, by name."""
    for name in bucket.list_folders(keys.ORGS):
        if keys.parse_source(keys.source(name)) is not None:
            yield name
