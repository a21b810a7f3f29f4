"""The ending of a run in latest.json, and in done.json for those who wrote only the first."""

from mailtide.contracts import Done, Handled, Latest, Plan, RunId, new_token
from mailtide.runs import keys, store
from mailtide.runs.services import Services
from mailtide.runs.story import done_of


def record_handled(services: Services, plan: Plan, wanted: Latest, *, over: store.Versioned[Latest]) -> None:
    """Write latest.json for a run that ends, over exactly the version that its ending was decided on.

    StaleWriteError when somebody wrote in between (whoever settles an intent of this run records it as well): start again.
    """
    standing = over.value
    if (standing.run, standing.status) == (wanted.run, wanted.status):
        return
    end_previous(services, plan.org, standing)
    store.write_latest(services.bucket, plan.org, wanted, expected_etag=over.etag)


def end_previous(services: Services, org: str, standing: Latest) -> None:
    """Give the run that latest.json names its done.json before latest.json is written over: until then nothing else says
    how it ended, and its published schedule would look like somebody else's upload."""
    if standing.run is None or standing.status is None:
        return
    if services.bucket.head(keys.done(org, standing.run)) is None:
        end(services, org, standing.run, standing.status, standing.published_etag)


def end(services: Services, org: str, run: RunId, status: Handled, published_etag: str | None) -> None:
    """Create the done.json of another run, told from its plan and result, unless it stands."""
    plan, result = store.read_plan(services.bucket, org, run), store.read_result(services.bucket, org, run)
    etag = published_etag if status == "published" else None
    if plan is None or result is None:
        done = Done(org=org, run=run, status=status, published_etag=etag, finished_at=services.clock.now())
    else:
        failure = result.failure.message if result.failure else "What the run delivered could not be published."
        reason = None if status == "published" else failure
        done = done_of(services, plan, result, status, reason, etag)
    store.create_once(services.bucket, keys.done(org, run), done)


def fence(services: Services, org: str, *, over: store.Versioned[Latest]) -> None:
    """Before an ending that latest.json does not record: write it anew, the same but for its token, so that another
    finish_run of this run, between its look at the source and its intent, must look again.

    StaleWriteError when somebody wrote in between: start again.
    """
    store.write_latest(
        services.bucket, org, over.value.model_copy(update={"token": new_token()}), expected_etag=over.etag
    )
