"""What a visit to a mailbox is asked to do, remembers and finds, as frozen models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from mailtide.contracts import Contract
from mailtide.warmup.contracts import MailboxId, Shard

type Verdict = Literal["inbox", "junk", "missing"]
"""Where a mail was when it was first seen; `missing`: not seen an hour after a visit first looked for it. A mail that is found
after all is no longer missing, and one that was first seen in junk stays so when it has been moved."""
type Failure = Literal[
    "login", "unreachable", "certificate", "timeout", "answer", "too_much", "folder", "tables", "error"
]
"""Why a visit failed. `login`: the name, password or token was refused; `answer`: what the server said is no IMAP that anybody
understands; `too_much`: it said more than a visit takes in; `folder`: the inbox cannot be opened; `tables`: ours were away."""
type ReportKind = Literal["bounce", "redacted", "complaint"]
"""What a report in the sender's own mailbox says of a mail: it came back (RFC 3464), or somebody called it spam (RFC 5965);
`redacted`: without the recipient's address, so that anybody may have made it up. What stands later weighs more."""
type FoundAs = Literal["sent", "sent_reply"]
"""Which of the two mails that a round may become was found: the ordinary one, or the reply."""

MAX_VISITS_A_MESSAGE = 10


class ReadMessage(Contract):
    """On read_mailboxes' queue: visit these mailboxes, which all stand in one shard of the day's roster.

    It may come twice: a visit that has begun less than its lease ago is left out, and to visit again changes nothing. A visit
    that fails is not tried again by the queue; the dispatcher asks again an interval later.
    """

    kind: Literal["read"] = "read"
    day: date
    shard: Shard
    mailbox_ids: Annotated[tuple[MailboxId, ...], Field(min_length=1, max_length=MAX_VISITS_A_MESSAGE)]
    until_ms: int
    """Not visited from then on: the next round of visits has begun."""


@dataclass(frozen=True, slots=True)
class FolderCursor:
    """How far a folder has been read: every uid below `next_uid` is done, under this uidvalidity alone (RFC 9051 §2.3.1.1)."""

    uidvalidity: int
    next_uid: int


@dataclass(frozen=True, slots=True)
class VisitState:
    """What is kept of a mailbox between visits."""

    mailbox_id: str
    cursors: Mapping[str, FolderCursor] = field(default_factory=dict)
    """By the folder's name on the server."""
    awaited: Mapping[str, int] = field(default_factory=dict)
    """Send ids of mails that were sent and not found yet: when a visit first looked for them (ms)."""
    unsent: frozenset[str] = frozenset()
    """Send ids of mails that were due, but not sent when a visit last looked."""
    unsettled: Mapping[str, FoundAs] = field(default_factory=dict)
    """Send ids of mails that were found before their sender's ledger says that they went out."""
    looked_until_ms: int = 0
    """Mails that were due before it are found, awaited, unsent or settled; 0 before the first visit."""
    access: str = ""
    """Of the last visit: changes with the mailbox's server, name and secret, and tells nothing of them."""
    failures: int = 0
    """Visits in a row that failed."""
    failure: Failure | None = None
    """Of the last visit."""
    not_before_ms: int = 0
    """No visit before: a back-off after failures."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one mail landed. `provider`: id of the recipient's (mailtide.warmup.providers), "" when it is not known."""

    verdict: Verdict
    provider: str = ""


@dataclass(frozen=True, slots=True)
class PlacementDay:
    """One sender's mails of one day, by round. Mails that nobody looked for are missing in it."""

    placements: Mapping[int, Placement] = field(default_factory=dict)
    reports: Mapping[int, ReportKind] = field(default_factory=dict)
    complainers: Mapping[int, str] = field(default_factory=dict)
    """Of complaints: the user whose mailbox the mail was for, "" where that was not kept."""
