"""What all contracts share: the base model, names and their patterns, the writer's token."""

import secrets
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

type Profile = Literal["highperf", "reliable"]
type Trigger = Literal["upload", "timer", "demand"]
type SyncMode = Literal["replace", "changeset", "both"]
"""What a run publishes: the database in its place, a changeset that the application applies, or both."""
type TaskKind = Literal["whole", "chunk", "merge"]
type Handled = Literal["published", "failed", "held"]
"""How a run ended that has dealt with its source."""

ORG_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
RUN_PATTERN = r"^[0-9a-f]{20}$"
TASK_PATTERN = r"^(whole|merge|chunk-[0-9]{4})$"

type Org = Annotated[str, Field(pattern=ORG_PATTERN)]
type RunId = Annotated[str, Field(pattern=RUN_PATTERN)]
type TaskName = Annotated[str, Field(pattern=TASK_PATTERN)]
type TryNumber = Annotated[int, Field(ge=1, le=99)]


def new_token() -> str:
    """A random name for one writer (128 bits, hexadecimal)."""
    return secrets.token_hex(16)


class Contract(BaseModel):
    """Base: immutable, and strict about what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_bytes(self) -> bytes:
        """The JSON that is stored or sent, in UTF-8."""
        return self.model_dump_json(indent=1).encode()
