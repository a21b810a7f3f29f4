"""What stands for an organisation: the version of its database, the lock, the last handled source, the unfinished run."""

from datetime import date, datetime

from pydantic import Field

from mailtide.contracts.base import Contract, Handled, Org, RunId, SyncMode, Trigger, new_token


class SourceRef(Contract):
    """One version of an organisation's database: what HEAD says of it."""

    etag: str
    last_modified: datetime
    size_bytes: int


class Intent(Contract):
    """A publication that has begun: any finish_run of this run completes exactly this upload."""

    run: RunId
    source: SourceRef
    upload_id: str
    part_etags: tuple[str, ...]
    expected_etag: str


class Baseline(Contract):
    """What the last published schedule amounted to: the publish brake compares with it."""

    run: RunId
    rules_sha256: str
    contacts: int
    rows: int
    """Planned rows."""


class PublishedFile(Contract):
    """The database with the published schedule where contacts.db itself is not replaced (sync mode `changeset`)."""

    run: RunId
    key: str
    etag: str
    size_bytes: int

    def ref(self, source: SourceRef) -> SourceRef:
        """This file as what is read in a source's place."""
        return source.model_copy(update={"etag": self.etag, "size_bytes": self.size_bytes})


class ChangesetLink(Contract):
    """One published changeset: it leads from the schedule of `previous_run` to that of `run`."""

    run: RunId
    previous_run: str | None
    """The last row of scheduler_runs in the database that the run read; None without one."""
    key: str
    size_bytes: int


CHAIN_LENGTH = 40
"""Changesets that latest.json names, the newest last; each is kept 30 days."""


class Latest(Contract):
    """orgs/{org}/latest.json: the last handled source, and the publication that is under way, if any."""

    token: str = Field(default_factory=new_token)
    run: RunId | None = None
    status: Handled | None = None
    source: SourceRef | None = None
    as_of: date | None = None
    published_etag: str | None = None
    """ETag of our own output; an object that has it starts no run."""
    baseline: Baseline | None = None
    intent: Intent | None = None
    sync: SyncMode = "replace"
    """How the last published schedule was published."""
    file: PublishedFile | None = None
    """Where the published schedule stands as long as `source` is the organisation's database, when that is not replaced."""
    written_by: RunId | None = None
    """The last run that changed the published database; None when it is an upload that needed no change."""
    chain: tuple[ChangesetLink, ...] = ()


class Lock(Contract):
    """orgs/{org}/lock.json: who may publish, until when. Never deleted; `epoch` only grows."""

    token: str = Field(default_factory=new_token)
    owner: RunId | None
    epoch: int
    expires_at: datetime


class OpenMarker(Contract):
    """open/{org}/{run}: an unfinished run."""

    token: str = Field(default_factory=new_token)
    org: Org
    run: RunId
    trigger: Trigger
    source: SourceRef
    as_of: date | None
    """Fixed here for timer and demand runs; an upload's is fixed by plan.json."""
    approved: RunId | None = None
    """The held run that a person has approved, and that this one is to repeat and publish."""
    opened_at: datetime
