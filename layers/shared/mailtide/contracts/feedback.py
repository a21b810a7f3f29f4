"""Feedback: files in which whatever sends says what became of the mails."""

from datetime import datetime

from pydantic import Field

from mailtide.contracts.base import Contract, new_token

MAX_FEEDBACK_BYTES = 64 << 20
"""Of one file; a larger one is left where it lies and reported."""
MAX_FEEDBACK_FILES = 1_000
"""Files of one run; later ones wait for the next."""
MAX_FEEDBACK_TOTAL_BYTES = 128 << 20
"""Of all files of one run."""
FEEDBACK_KEEP_DAYS = 30
"""Folded files are deleted so many days after they were dropped; until then an older database gets them again."""


class FeedbackFile(Contract):
    """One version of orgs/{org}/feedback/{name}."""

    name: str
    etag: str
    size_bytes: int
    dropped_at: datetime


class FeedbackInput(FeedbackFile):
    """A feedback file, for a machine to fetch."""

    get: str
    """A presigned URL."""


class FeedbackPlan(Contract):
    """Which feedback files a run folds in, fixed when it is planned."""

    files: tuple[FeedbackFile, ...] = ()
    """Oldest first."""
    waiting: int = 0
    """Files that are left for the next run: this one has as many as it may."""
    problems: tuple[str, ...] = ()
    """One sentence for each file that cannot be taken."""


class FoldedFile(Contract):
    """What became of the lines of one file."""

    name: str
    lines: int
    applied: int
    unchanged: int
    """Lines that say what the database says already."""
    refused: int


class FeedbackReport(Contract):
    """What was folded into a database."""

    files: tuple[FoldedFile, ...] = ()
    """Those that were folded in now, oldest first."""
    known: int = 0
    """Files that this database had already."""
    left: tuple[str, ...] = ()
    """Names of files that were replaced or removed before they were fetched; the next run sees to them."""
    waiting: int = 0
    refused: int = 0
    """Lines."""
    problems: tuple[str, ...] = ()
    """One sentence for each bad line and bad file, the first ones; they show no address."""

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return bool(self.files)


class FeedbackFolded(Contract):
    """orgs/{org}/feedback.json: the files that the published database holds. It only spares work: the ledger in the database
    decides what is folded in."""

    token: str = Field(default_factory=new_token)
    published_etag: str
    files: tuple[FeedbackFile, ...]
