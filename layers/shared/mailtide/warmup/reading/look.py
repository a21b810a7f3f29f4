"""A visit's look into the folders: new mails are read by some header fields, ours are recorded and treated as the owner wishes.

Each mail of ours is treated once. What a person, a rule or a filter does with it afterwards is theirs, so a mail that is
recorded already is left alone wherever it turns up, and so are copies of it. The one exception: a mail that was recorded in
junk and still is there, since a visit may have ended between the two.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import batched
from typing import Literal, Protocol

from mailtide.warmup.contracts import LedgerKey, Mailbox
from mailtide.warmup.ids import SendId
from mailtide.warmup.reading.contracts import FolderCursor, FoundAs, Placement, VisitState
from mailtide.warmup.reading.ports import Folder, Header, MailboxView, Placements, VisitFailedError
from mailtide.warmup.reading.recognise import Look, ReportType, read_fields
from mailtide.warmup.reading.reports import MAX_REPORT_BYTES, read_report
from mailtide.warmup.reading.settling import settle
from mailtide.warmup.reading.verify import Lookups, Ours, Verifier

INBOX = "INBOX"
CHUNK = 50
"""Mails whose header fields are read at once."""
DIRECT_UIDS = 1_000
"""Up to so many new uids are read as they are; among more, the mails of the last days are searched for first."""
LEAST_LEFT_S = 5.0
"""No chunk is begun with less than this left of the visit."""

type Place = Literal["inbox", "junk"]


class LookServices(Lookups, Protocol):
    """What a look is given."""

    @property
    def placements(self) -> Placements:
        """Where mails were found."""


@dataclass(slots=True)
class Findings:
    """What a look has done so far; all of it is kept even if the rest fails."""

    cursors: dict[str, FolderCursor]
    unsettled: dict[str, FoundAs]
    """See VisitState."""
    found: set[SendId] = field(default_factory=set)
    looked_at: int = 0
    """Mails whose header fields were read."""
    inbox: int = 0
    junk: int = 0
    marked: int = 0
    rescued: int = 0
    settled: int = 0
    reports: int = 0
    is_complete: bool = False
    """Every new mail of every folder was looked at."""


@dataclass(frozen=True, slots=True)
class _Found:
    header: Header
    ours: Ours
    recorded: Placement | None
    """What stood there of it before."""


class FolderLook:
    """One visit's look."""

    def __init__(
        self,
        services: LookServices,
        mailbox: Mailbox,
        state: VisitState,
        today: date,
        time_left_s: Callable[[], float],
    ) -> None:
        """today: when the visit begins."""
        self.findings = Findings(dict(state.cursors), dict(state.unsettled))
        self._services = services
        self._mailbox = mailbox
        self.since = today - timedelta(days=2)
        """Nothing older is looked for: yesterday's mails, for servers that compare days in time zones of their own."""
        self._time_left_s = time_left_s
        self._verifier = Verifier(services, mailbox, today)

    def run(self, view: MailboxView) -> None:
        """Look into junk first: what is moved from there is then met again in the inbox. VisitFailedError, TransientError."""
        self._settle()
        junk = view.junk_folder()
        places: list[tuple[str, Place]] = [(junk, "junk")] if junk and junk.upper() != INBOX else []
        places.append((INBOX, "inbox"))
        self.findings.cursors = {name: at for name, at in self.findings.cursors.items() if (name in dict(places))}
        finished = [self._folder(view, name, place) for name, place in places]
        self.findings.is_complete = all(finished)

    def _folder(self, view: MailboxView, name: str, place: Place) -> bool:
        """Whether all of it was looked at."""
        try:
            folder = view.look_into(name)
        except VisitFailedError as failed:
            # A folder for junk that cannot be opened is as good as none.
            if place == "inbox" or failed.failure != "folder":
                raise
            return True
        self._verifier.forget_ledgers()
        cursor = self.findings.cursors.get(name)
        is_known = cursor is not None and cursor.uidvalidity == folder.uidvalidity
        first = cursor.next_uid if cursor and is_known else 1
        uids: Iterable[int] = range(first, folder.next_uid)
        if not is_known or folder.next_uid - first > DIRECT_UIDS:
            uids = view.uids(first, folder.next_uid - 1, self.since) if folder.next_uid > first else []
        for chunk in batched(uids, CHUNK, strict=False):
            if self._time_left_s() < LEAST_LEFT_S or not self._chunk(view, folder, place, chunk):
                return False
        self._passed(folder, max(first, folder.next_uid))
        return True

    def _passed(self, folder: Folder, next_uid: int) -> None:
        self.findings.cursors[folder.name] = FolderCursor(folder.uidvalidity, next_uid)

    def _chunk(self, view: MailboxView, folder: Folder, place: Place, uids: Sequence[int]) -> bool:
        """Whether the time was enough for all of it; a chunk that is begun again changes nothing that was done."""
        headers = view.headers(uids)
        looks = [(header, read_fields(header.fields)) for header in headers]
        self._treat(view, folder, place, looks)
        for header, look in looks:
            if look.report is None:
                continue
            if self._time_left_s() < LEAST_LEFT_S:
                self._passed(folder, header.uid)
                return False
            self._report(view, header.uid, look.report)
        self.findings.looked_at += len(headers)
        self._passed(folder, uids[-1] + 1)
        return True

    def _treat(self, view: MailboxView, folder: Folder, place: Place, looks: list[tuple[Header, Look]]) -> None:
        claims = [look.claim for _, look in looks if look.claim]
        ours = self._verifier.ours(claims) if claims else {}
        first: dict[SendId, tuple[Header, Ours]] = {}
        for header, look in looks:
            mine = ours.get(look.claim) if look.claim else None
            if mine and mine.send_id not in self.findings.found:
                first.setdefault(mine.send_id, (header, mine))
        if not first:
            return
        recorded = self._services.placements.read_many({mine.key for _, mine in first.values()})
        found = []
        for header, mine in first.values():
            day = recorded.get(mine.key)
            found.append(_Found(header, mine, day.placements.get(mine.send_id.round) if day else None))
        self._carry_out(view, folder, place, found)
        self.findings.found |= first.keys()

    def _carry_out(self, view: MailboxView, folder: Folder, place: Place, found: list[_Found]) -> None:
        """Marks first, which may be repeated; then where it was found; and only then it is moved away from there."""
        new = [one for one in found if one.recorded is None or one.recorded.verdict == "missing"]
        left_behind = [one for one in found if place == "junk" and one.recorded and one.recorded.verdict == "junk"]
        self.findings.marked += self._mark(view, folder, new)
        self._record(place, new)
        # Those that an earlier visit has recorded, too: it may have ended just then.
        unsettled: dict[str, FoundAs] = {str(one.ours.send_id): one.ours.outcome for one in found if one.ours.is_open}
        if unsettled:
            self.findings.unsettled |= unsettled
            self._settle()
        if place == "junk" and self._mailbox.engagement.rescue:
            self.findings.rescued += view.move(folder, [one.header.uid for one in new], INBOX)
            self.findings.rescued += view.move(folder, [one.header.uid for one in left_behind], INBOX, again=True)

    def _settle(self) -> None:
        self.findings.settled += settle(self._services, self.findings.unsettled, self.since)

    def _mark(self, view: MailboxView, folder: Folder, found: list[_Found]) -> int:
        engagement = self._mailbox.engagement
        wanted = {flag for flag, wish in (("\\Seen", engagement.read), ("\\Flagged", engagement.flag)) if wish}
        marks = {one.header.uid: frozenset(wanted - one.header.flags) for one in found}
        marks = {uid: flags for uid, flags in marks.items() if flags}
        return view.mark(folder, marks) if marks else 0

    def _record(self, place: Place, found: list[_Found]) -> None:
        by_key: dict[LedgerKey, dict[int, Placement]] = defaultdict(dict)
        for one in found:
            by_key[one.ours.key][one.ours.send_id.round] = Placement(place, self._mailbox.provider)
        for key, placements in by_key.items():
            self._services.placements.record(key, placements)
        if place == "inbox":
            self.findings.inbox += len(found)
        else:
            self.findings.junk += len(found)

    def _report(self, view: MailboxView, uid: int, kind: ReportType) -> None:
        report = read_report(kind, view.peek(uid, MAX_REPORT_BYTES))
        told = self._verifier.report(report) if report else None
        if told is not None:
            self._services.placements.report(told.key, {told.round: told.kind}, complainer=told.recipient_user)
            self.findings.reports += 1
