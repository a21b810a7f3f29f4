"""GET /api/health: whether the function answers at all; open to everybody, and it tells nothing else."""

from aws_lambda_powertools.event_handler import Response
from pydantic import BaseModel, Field

from mailtide import __version__
from mailtide.api.problems import answer
from mailtide.api.resolver import ApiRouter, documented

router = ApiRouter()


class Alive(BaseModel):
    """The function answers."""

    status: str = Field(description="Always ok.")
    version: str = Field(description="Version of mailtide.")


@router.get(
    "/api/health",
    summary="Does it answer?",
    operation_id="health",
    tags=["health"],
    responses=documented(Alive, description="It does."),
)
def health() -> Response[str]:
    """For load balancers and uptime checks. It needs no token and looks at nothing."""
    return answer(Alive(status="ok", version=__version__))
