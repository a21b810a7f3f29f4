"""An organisation's webhook."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from mailtide.contracts.base import Contract, new_token

MAX_URL = 2_000


class Webhook(Contract):
    """orgs/{org}/webhook.json: where the ends of its runs are told. No secret is in it, but the URL may be one."""

    token: str = Field(default_factory=new_token)
    url: Annotated[str, Field(min_length=1, max_length=MAX_URL)]
    key_version: Annotated[int, Field(ge=1)] = 1
    """The signing secret is derived from it; a higher one makes a new secret."""
    rotated_at: datetime | None = None
    """For a day after it, the secret before signs as well."""
