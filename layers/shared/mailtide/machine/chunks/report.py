"""What a chunk did, as its manifest says it."""

from datetime import date

from pydantic import BaseModel, ConfigDict


class ChunkReport(BaseModel):
    """The counts of one chunk."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: date
    run_id: str
    rules_sha256: str
    threads: int
    first_id: int | None
    last_id: int | None
    contacts: int
    """Rows of the table contacts."""
    eligible: int
    skipped_contacts: dict[str, int]
    candidates: int
    """Mails that were proposed; history is left out and smoothing done by the merge."""
    missed: int
    """Mails of the past that a window may have swallowed."""
    delivered_bytes: int
    source_bytes: int
    source_bytes_read: int
    """How much of the source was fetched."""
    source_requests: int
    seconds: dict[str, float]
    """By step, without transfers, and `total`."""
