"""GET /v1/runs: runs as they are, and one in full; what it left, as a download."""

from collections.abc import Iterable
from http import HTTPStatus
from itertools import islice
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import BaseModel, Field

from mailtide.api.problems import ProblemError, answer
from mailtide.api.resolver import ApiRouter, documented, no_org, redirecting
from mailtide.api.run_facts import RunFacts, RunReader
from mailtide.api.run_view import DOWNLOADS, RECORDS, RunLine, RunView, deciding_try, line_of, open_line, view_of
from mailtide.contracts import ORG_PATTERN, RUN_PATTERN, Done
from mailtide.runs import keys, store
from mailtide.serving import readers, run_reader

MOST_OPEN = 100
MOST_RUNS = 1_000
"""Runs of one organisation that are looked at; they are kept for 30 days."""
LINK_S = 300
"""How long a download's address holds."""

router = ApiRouter()

OrgPath = Annotated[str, Path(pattern=ORG_PATTERN, description="Name of the organisation.")]
RunPath = Annotated[str, Path(pattern=RUN_PATTERN, description="Id of the run: 20 hexadecimal digits.")]


class RunList(BaseModel):
    """Runs, those that have not ended first, then by their end, the newest first."""

    runs: tuple[RunLine, ...]
    next_cursor: str | None = Field(
        default=None, description="Ask with it for the last runs of more organisations; null on the last page."
    )
    more: bool = Field(default=False, description="Whether there are older or further open runs, which are not listed.")


@router.get(
    "/v1/runs",
    summary="Runs",
    operation_id="runs",
    tags=["runs"],
    responses=documented(
        RunList, description="Runs.", refusals={403: "Not this token's.", 404: "No such organisation."}
    ),
)
def list_runs(
    org: Annotated[
        str | None,
        Query(
            pattern=ORG_PATTERN,
            description="Every run of this organisation that is kept. Without it operators get all open runs, and the last "
            "ended one of each organisation.",
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Ended runs on a page.")] = 50,
    cursor: Annotated[
        str | None, Query(pattern=ORG_PATTERN, description="`next_cursor` of the page before; not with `org`.")
    ] = None,
) -> Response[str]:
    """A token of an organisation gets its own runs."""
    wanted = org or router.caller.org
    if wanted is None:
        router.require_operator("This")
        return answer(_of_all(run_reader(), limit, cursor))
    router.require_org(wanted)
    return answer(_of_one(run_reader(), wanted, limit))


@router.get(
    "/v1/runs/<org>/<run>",
    summary="One run",
    operation_id="run",
    tags=["runs"],
    responses=documented(RunView, description="The run as it stands.", refusals={404: "No such run, or another's."}),
)
def show(org: OrgPath, run: RunPath) -> Response[str]:
    """Steps, tries, machines, cost, what the pass counted, and what may be done now."""
    facts = facts_of(router, org, run)
    return answer(view_of(facts, store.read_source(run_reader().bucket, org)))


@router.get(
    "/v1/runs/<org>/<run>/files/<name>",
    summary="Download what a run left",
    operation_id="runFile",
    tags=["runs"],
    responses=redirecting(refusals={404: "No such file of this run, or another's."}),
)
def download(
    org: OrgPath, run: RunPath, name: Annotated[str, Path(max_length=64, description="Name of the file.")]
) -> Response[str]:
    """contacts.db, schedule.changeset, schedule.parquet, plan.json, result.json or done.json."""
    facts = facts_of(router, org, run)
    counting = deciding_try(facts)
    info = facts.objects.get(name) if name in RECORDS else None
    if name in DOWNLOADS and counting is not None:
        info = counting.objects.get(name)
    if info is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, "This run has no such file.")
    return redirect(info.key, f"{org}-{run}-{name}")


def redirect(key: str, download_as: str) -> Response[str]:
    """303 to the object."""
    url = run_reader().bucket.presign_get(key, expires_s=LINK_S, download_as=download_as)
    return Response(
        status_code=int(HTTPStatus.SEE_OTHER), content_type="text/plain", body="", headers={"Location": url}
    )


def facts_of(asked: ApiRouter, org: str, run: str) -> RunFacts:
    """The run. ProblemError 404 when there is none, or it is not the caller's."""
    asked.require_org(org)
    facts = run_reader().facts(org, run)
    if facts is None:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"There is no run {run} of {org}.")
    return facts


def _of_all(reader: RunReader, limit: int, cursor: str | None) -> RunList:
    markers = [] if cursor else _markers(reader, keys.OPEN)
    names = list(islice(reader.bucket.list_folders(keys.ORGS, after=cursor or ""), limit + 1))
    page = [name for name in names[:limit] if keys.parse_source(keys.source(name))]
    return RunList(
        runs=(
            *_open_lines(reader, markers[:MOST_OPEN]),
            *_newest_first(readers().map(lambda org: last_line(reader, org), page)),
        ),
        next_cursor=names[limit - 1] if len(names) > limit else None,
        more=len(markers) > MOST_OPEN,
    )


def _of_one(reader: RunReader, org: str, limit: int) -> RunList:
    markers = _markers(reader, f"{keys.OPEN}{org}/")
    names = list(islice(reader.bucket.list_folders(f"{keys.RUNS}{org}/"), MOST_RUNS + 1))
    if not names and not markers and next(iter(reader.bucket.list(f"{keys.ORGS}{org}/")), None) is None:
        raise no_org(org)
    ended = _newest_first(readers().map(lambda run: _line(reader, reader.done(org, run)), names[:MOST_RUNS]))
    return RunList(
        runs=(*_open_lines(reader, markers[:MOST_OPEN]), *ended[:limit]),
        more=len(names) > MOST_RUNS or len(markers) > MOST_OPEN or len(ended) > limit,
    )


def _markers(reader: RunReader, prefix: str) -> list[tuple[str, str]]:
    listed = islice(reader.bucket.list(prefix), MOST_OPEN + 1)
    return [name for info in listed if (name := keys.parse_marker(info.key)) is not None]


def _open_lines(reader: RunReader, names: list[tuple[str, str]]) -> list[RunLine]:
    """Those that have not ended, the youngest first; a marker may outlive its run for a moment."""
    found = readers().map(lambda name: reader.facts(*name), names)
    lines = [open_line(facts) for facts in found if facts is not None and facts.done is None]
    return sorted(lines, key=lambda line: line.opened_at.timestamp() if line.opened_at else 0.0, reverse=True)


def last_line(reader: RunReader, org: str) -> RunLine | None:
    """The last run that dealt with the organisation's database."""
    latest = store.read_latest(reader.bucket, org).value
    return _line(reader, reader.done(org, latest.run)) if latest.run else None


def _line(reader: RunReader, done: Done | None) -> RunLine | None:
    if done is None:
        return None
    verdict = reader.verdict(done.org, done.run) if done.status == "held" else None
    return line_of(done, verdict.approved if verdict else None)


def _newest_first(lines: Iterable[RunLine | None]) -> list[RunLine]:
    found = [line for line in lines if line is not None and line.finished_at is not None]
    return sorted(found, key=lambda line: line.finished_at.timestamp() if line.finished_at else 0.0, reverse=True)
