"""Folding feedback files into a database: each version of a file exactly once, by a ledger that lives with the data."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from mailtide.contracts import FeedbackReport, FoldedFile
from mailtide.database.changeset_record import recorded
from mailtide.database.feedback_rows import FeedbackTables, Ledger, Outcome, RefusedRow, Values, feedback_tables
from mailtide.database.locked import LockedFile, locked_file
from mailtide.errors import InputError
from mailtide.feedback.lines import OF_A_MAIL, Clock, Line, read_lines
from mailtide.importing.records import Refusal
from mailtide.rules.config import Rules

SHOWN_PROBLEMS = 50
_DEFAULT_PRIORITY = 10
_MOVED_DAYS = 31
"""How far from the day of an event the send date of its mail is looked for first."""


@dataclass(frozen=True, slots=True)
class DroppedFile:
    """One feedback file on disk. `name` and `etag` are what it is known by."""

    path: Path
    name: str
    etag: str

    @property
    def is_csv(self) -> bool:
        """CSV, or else JSON Lines."""
        return self.name.lower().endswith(".csv")


def fold_in(
    path: Path,
    files: Sequence[DroppedFile],
    rules: Rules,
    *,
    run_id: str,
    moment: datetime,
    changes: Path | None = None,
) -> FeedbackReport:
    """Fold files, oldest first, into the database at `path` in one transaction. What it has already is passed over.

    moment: now, an aware time; nothing can have happened later. changes: where what it does to email_schedules is told, as
    SQLite's changeset. Raises DatabaseError; the database is as it was then.
    """
    clock = Clock.of(rules.timezone, moment)
    with locked_file(path) as locked:
        folding = _Folding(locked, rules, clock, _Problems())
        schedules = locked.preparation.schedules
        with recorded(locked.connection, schedules, changes), feedback_tables(locked, run_id, moment) as (tables, keep):
            new = [file for file in files if not tables.is_known(file.name, file.etag)]
            if new:
                folding.prepare(tables, new)
                folded = tuple(folding.fold(tables, file) for file in new)
                keep()
            else:
                folded = ()
    return FeedbackReport(
        files=folded,
        known=len(files) - len(new),
        refused=sum(file.refused for file in folded),
        problems=tuple(folding.problems.shown),
    )


@dataclass(slots=True)
class _Problems:
    shown: list[str] = field(default_factory=list)

    def add(self, file: str, what: str) -> None:
        if len(self.shown) < SHOWN_PROBLEMS:
            self.shown.append(f"{file}{what}.")


@dataclass(slots=True)
class _Folding:
    locked: LockedFile
    rules: Rules
    clock: Clock
    problems: _Problems

    def lines(self, file: DroppedFile) -> Iterator[Line | Refusal]:
        with file.path.open("rb") as opened:
            yield from read_lines(opened, is_csv=file.is_csv, clock=self.clock)

    def prepare(self, tables: FeedbackTables, files: Iterable[DroppedFile]) -> None:
        """Find all mails and contacts that the files speak of, before any line is applied."""
        wanted: dict[bytes, int | None] = {}
        contacts: set[int] = set()
        days: list[str] = []
        for file in files:
            for line in self._good_lines(file):
                if line.contact_id is not None:
                    contacts.add(line.contact_id)
                if line.key is not None:
                    wanted[line.key] = wanted.get(line.key) or (line.name.contact_id if line.name else None)
                    days += [line.at[:10]] if line.at else []
                    days = [min(days), max(days)] if days else []
        tables.look_for(wanted, _about(days[0], days[-1]) if days else None)
        tables.look_at(contacts)

    def _good_lines(self, file: DroppedFile) -> Iterator[Line]:
        try:
            yield from (line for line in self.lines(file) if isinstance(line, Line))
        except InputError:
            # What is wrong with the file as a whole is told when it is folded.
            return

    def fold(self, tables: FeedbackTables, file: DroppedFile) -> FoldedFile:
        """Apply every line, and note the file in the ledger."""
        counts: Counter[str] = Counter()
        try:
            for line in self.lines(file):
                counts["lines"] += 1
                counts[self._apply(tables, file, line)] += 1
        except InputError as error:
            self.problems.add(file.name, f": {str(error).rstrip('.')}")
        ledger = Ledger(
            file.name, file.etag, counts["lines"], counts["applied"], counts["unchanged"], counts["refused"]
        )
        tables.note(ledger)
        return FoldedFile(
            name=file.name,
            lines=ledger.lines,
            applied=ledger.applied,
            unchanged=ledger.unchanged,
            refused=ledger.refused,
        )

    def _apply(self, tables: FeedbackTables, file: DroppedFile, line: Line | Refusal) -> str:
        try:
            if isinstance(line, Line):
                return self._carry_out(tables, line)
            reason = line.reason
        except RefusedRow as refused:
            reason = str(refused)
        self.problems.add(file.name, f", line {line.number}: {reason}")
        return "refused"

    def _carry_out(self, tables: FeedbackTables, line: Line) -> Outcome:
        match line.state:
            case "sent" | "delivered":
                return tables.move_on(line.key or b"", line.state, line.at or "", self._row(line))
            case "bounced":
                return self._bounce(tables, line)
            case "unsubscribed":
                contact = None if line.email else tables.contact_of(line.key, line.contact_id)
                return tables.suppress(line.email, contact)
            case "clicked":
                return tables.click(tables.contact_of(line.key, line.contact_id), line.at or "")
            case "answered":
                return tables.answer(tables.contact_of(line.key, line.contact_id), line.at or "", line.metadata)

    def _bounce(self, tables: FeedbackTables, line: Line) -> Outcome:
        moved = tables.move_on(line.key or b"", "bounced", line.at or "", self._row(line))
        if not line.is_hard:
            return moved
        contact = None if line.email else tables.contact_of(line.key, line.contact_id)
        suppressed = tables.suppress(line.email, contact)
        return "applied" if "applied" in (moved, suppressed) else "unchanged"

    def _row(self, line: Line) -> Values | None:
        """The row of a mail that the plan may no longer hold; None when the line does not say enough."""
        if line.name is None or line.state not in OF_A_MAIL:
            return None
        given = line.given
        return {
            "contact_id": line.name.contact_id,
            "email_type": line.name.email_type,
            "event_date": line.name.event_date,
            "campaign_instance_id": line.name.campaign,
            "scheduled_send_date": given.get("scheduled_send_date", line.at or "")[:10],
            "scheduled_send_time": given.get("scheduled_send_time", self.rules.send_time),
            "priority": int(given.get("priority", _DEFAULT_PRIORITY)),
            "email_template": given.get("email_template"),
            "sms_template": given.get("sms_template"),
        }


def _about(first: str, last: str) -> tuple[str, str]:
    """The days from a while before the first to a while after the last."""
    spread = timedelta(days=_MOVED_DAYS)
    return (date.fromisoformat(first) - spread).isoformat(), (date.fromisoformat(last) + spread).isoformat()
