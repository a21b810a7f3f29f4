"""What a run is called: by what it handles, so that whoever looks at the same thing finds the same run."""

import hashlib
from datetime import date

from mailtide.contracts import SourceRef


def run_id(
    org: str, source: SourceRef, *, as_of: date | None = None, request_id: str | None = None, repeat: int = 0
) -> str:
    """The name of a run: the same upload gives the same one; timer runs hash as_of too. A demand is its request alone: its
    message may come again when the run has published, and the source is another one."""
    parts = [org, source.etag, source.last_modified.isoformat(), str(as_of or ""), ""]
    parts += [str(repeat)] if repeat else []
    if request_id:
        parts = [org, "demand", request_id]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]
