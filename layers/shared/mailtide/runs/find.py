"""Which run a person means: by its id alone, or as the one that an organisation is at."""

from mailtide.contracts import OpenMarker
from mailtide.errors import InputError
from mailtide.ports import Bucket
from mailtide.runs import keys, store


def org_of(bucket: Bucket, run: str) -> str:
    """The organisation of a run. InputError when nobody has it. A request an organisation, unless the run is open."""
    for info in bucket.list(keys.OPEN):
        named = keys.parse_marker(info.key)
        if named is not None and named[1] == run:
            return named[0]
    for org in bucket.list_folders(keys.RUNS):
        if next(iter(bucket.list(f"{keys.RUNS}{org}/{run}/")), None) is not None:
            return org
    raise InputError(f"No organisation has a run {run}; runs are kept for 30 days.")


def open_runs(bucket: Bucket, org: str) -> list[OpenMarker]:
    """The markers of an organisation's unfinished runs."""
    names = (keys.parse_marker(info.key) for info in bucket.list(f"{keys.OPEN}{org}/"))
    return [marker for name in names if name and (marker := store.read_marker(bucket, *name)) is not None]


def open_run(bucket: Bucket, org: str) -> str | None:
    """The run that an organisation is at: of several open ones the one that has the plan, else the first opened."""
    found = open_runs(bucket, org)
    return min(found, key=lambda marker: _turn(bucket, marker)).run if found else None


def _turn(bucket: Bucket, marker: OpenMarker) -> tuple[bool, float]:
    planned = bucket.head(keys.plan(marker.org, marker.run)) is not None
    return not planned, marker.opened_at.timestamp()


def last_run(bucket: Bucket, org: str) -> str | None:
    """The last run that dealt with an organisation's database."""
    return store.read_latest(bucket, org).value.run


def is_expected(bucket: Bucket, org: str) -> bool:
    """Whether a run should open by itself: nothing has handled the database that stands."""
    source = store.read_source(bucket, org)
    return source is not None and not store.is_handled(store.read_latest(bucket, org).value, source)
