"""GET /api/warmup/domains: what the last checks of the mailboxes' domains found."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query
from pydantic import BaseModel, Field

from mailtide.api.problems import answer
from mailtide.api.resolver import ApiRouter, documented
from mailtide.planning import planning
from mailtide.warmup.domains import DomainRow, read_index
from mailtide.warmup.ids import ID_PATTERN

MOST_DOMAINS = 5_000

router = ApiRouter()


class BrokenFinding(BaseModel):
    """Something that is broken, in plain words."""

    check: str = Field(description="MX, SPF, DKIM or DMARC.")
    what: str
    todo: str = Field(description="What to do about it.")


class DomainState(BaseModel):
    """One domain at its last check."""

    domain: str
    mailboxes: int = Field(
        description="As of the last roster; 0 before, and for a user where others have mailboxes, too."
    )
    provider: str = Field(description='Whose mail servers it names; "" for none that is known.')
    checked_ms: int = Field(description="Unix time in ms; 0: not yet.")
    is_answered: bool = Field(description="Whether DNS said who takes its mail.")
    broken: tuple[BrokenFinding, ...]
    warnings: tuple[str, ...] = Field(description="Checks that somebody should look at.")


class Domains(BaseModel):
    """The domains of a user's mailboxes, or of the whole pool."""

    known: int
    broken: int = Field(description="In how many something is broken.")
    unchecked: int = Field(description="How many have not been checked yet.")
    domains: tuple[DomainState, ...] = Field(description="Those with the most mailboxes first.")


@router.get(
    "/api/warmup/domains",
    summary="What is broken in the mailboxes' domains",
    operation_id="warmupDomains",
    tags=["warmup"],
    responses=documented(
        Domains, description="As of each domain's last check.", refusals={403: "Another user's mailboxes."}
    ),
)
def domains(
    user: Annotated[
        str | None, Query(pattern=ID_PATTERN, description="Only domains of this user; users see only their own.")
    ] = None,
    sound: Annotated[
        bool, Query(description="Sound domains, too, not only those in which something is broken.")
    ] = False,
    limit: Annotated[int, Query(ge=1, le=MOST_DOMAINS, description="Domains at most.")] = 100,
) -> Response[str]:
    """Domains are checked when they are new, and again every WarmupDnsCheckDays; nothing is asked of DNS here."""
    user = router.visible_user(user)
    rows = [row for row in read_index(planning().bucket).values() if user is None or user in row.users]
    rows.sort(key=lambda row: (-row.mailboxes, row.domain))
    wanted = [row for row in rows if sound or row.broken]
    return answer(
        Domains(
            known=len(rows),
            broken=sum(bool(row.broken) for row in rows),
            unchecked=sum(not row.checked_ms for row in rows),
            domains=tuple(
                _state(row, counts=router.caller.is_operator or len(row.users) == 1) for row in wanted[:limit]
            ),
        )
    )


def _state(row: DomainRow, *, counts: bool) -> DomainState:
    return DomainState(
        domain=row.domain,
        mailboxes=row.mailboxes if counts else 0,
        provider=row.provider,
        checked_ms=row.checked_ms,
        is_answered=row.is_answered,
        broken=tuple(BrokenFinding(**one._asdict()) for one in row.broken),
        warnings=row.warnings,
    )
