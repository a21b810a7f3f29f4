"""GET /v1/orgs: the organisations, and one in full; its database as a download."""

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import islice
from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import BaseModel, Field

from mailtide.api.org_view import MOST_RULES, OrgLine, OrgView, effective, line_of, quality_of, rules_of
from mailtide.api.problems import ProblemError, answer
from mailtide.api.resolver import ApiRouter, documented, no_org, redirecting
from mailtide.api.run_facts import RunReader
from mailtide.api.runs import OrgPath, last_line, redirect
from mailtide.contracts import ORG_PATTERN
from mailtide.runs import keys, store
from mailtide.serving import readers, run_reader

router = ApiRouter()


class OrgList(BaseModel):
    """Organisations, in the order of their names in the bucket."""

    orgs: tuple[OrgLine, ...]
    next_cursor: str | None = Field(description="Ask with it for the next page; null on the last one.")


@router.get(
    "/v1/orgs",
    summary="Organisations",
    operation_id="orgs",
    tags=["organisations"],
    responses=documented(OrgList, description="One page of them.", refusals={403: "Not this token's."}),
)
def list_orgs(
    limit: Annotated[int, Query(ge=1, le=200, description="Organisations on a page.")] = 50,
    cursor: Annotated[str | None, Query(pattern=ORG_PATTERN, description="`next_cursor` of the page before.")] = None,
    starts: Annotated[str | None, Query(pattern=ORG_PATTERN, description="Only names that begin like this.")] = None,
) -> Response[str]:
    """A token of an organisation gets its own alone."""
    reader, own = run_reader(), router.caller.org
    if own is not None:
        return answer_list(reader, [own] if _exists(reader, own) else [], None)
    router.require_operator("This")
    names = list(islice(_names(reader, starts or "", cursor or ""), limit + 1))
    page = [name for name in names[:limit] if keys.parse_source(keys.source(name))]
    return answer_list(reader, page, names[limit - 1] if len(names) > limit else None)


@router.get(
    "/v1/orgs/<org>",
    summary="One organisation",
    operation_id="org",
    tags=["organisations"],
    responses=documented(OrgView, description="As it stands.", refusals={404: "No such organisation, or another."}),
)
def show(org: OrgPath) -> Response[str]:
    """Its last and next run, its rules, and what the last run found in its data."""
    router.require_org(org)
    reader = run_reader()
    if not _exists(reader, org):
        raise no_org(org)
    source, rules = store.read_source(reader.bucket, org), rules_of(reader.bucket, org)
    latest = store.read_latest(reader.bucket, org).value
    now = datetime.now(UTC)
    line = line_of(org, rules, last_line(reader, org), now, has_database=source is not None)
    view = OrgView(
        **line.model_dump(),
        size_bytes=source.size_bytes if source else None,
        uploaded_at=source.last_modified if source else None,
        effective_rules=effective(rules[0]),
        rules_yaml=rules[1][:MOST_RULES] if rules[1] is not None else None,
        windows_of_states=sum(len(windows) for windows in rules[0].states.values()),
        quality=quality_of(reader.done(org, latest.run) if latest.run else None),
    )
    return answer(view)


@router.get(
    "/v1/orgs/<org>/database",
    summary="Download the database",
    operation_id="orgDatabase",
    tags=["organisations"],
    responses=redirecting(refusals={404: "No such organisation, or it has no database."}),
)
def download(org: OrgPath) -> Response[str]:
    """As it stands in the bucket now: published, or as it was uploaded."""
    router.require_org(org)
    if store.read_source(run_reader().bucket, org) is None:
        raise no_org(org)
    return redirect(keys.source(org), f"{org}.db")


def answer_list(reader: RunReader, names: list[str], next_cursor: str | None) -> Response[str]:
    """The lines of these organisations."""
    now = datetime.now(UTC)

    def line(org: str) -> OrgLine:
        has_database = reader.bucket.head(keys.source(org)) is not None
        return line_of(org, rules_of(reader.bucket, org), last_line(reader, org), now, has_database=has_database)

    return answer(OrgList(orgs=tuple(readers().map(line, names)), next_cursor=next_cursor))


def _names(reader: RunReader, starts: str, after: str) -> Iterator[str]:
    """Of folders: also of such that are no organisation's."""
    if after and not after.startswith(starts):
        raise ProblemError(HTTPStatus.BAD_REQUEST, "`cursor` is of a page of other names than `starts` asks for.")
    for rest in reader.bucket.list_folders(f"{keys.ORGS}{starts}", after=after.removeprefix(starts)):
        # A cursor that is all of `starts` leaves nothing to begin after.
        if not after or f"{starts}{rest}/" > f"{after}/":
            yield f"{starts}{rest}"


def _exists(reader: RunReader, org: str) -> bool:
    return next(iter(reader.bucket.list(f"{keys.ORGS}{org}/")), None) is not None
