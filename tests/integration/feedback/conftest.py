"""A scheduled database, and feedback on its mails."""

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from mailtide.contracts import FeedbackReport
from mailtide.database.due import due_mails
from mailtide.database.invented import invent_database
from mailtide.feedback.fold import DroppedFile, fold_in
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from tests.integration.pass_.rows import execute, query
from tests.unit.cli.conftest import run

__all__ = ["run"]

AS_OF = date(2026, 11, 21)
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
RULES = load_rules(None)


@dataclass
class Scheduled:
    """An invented organisation with its schedule, and the mails that are due on a day."""

    path: Path

    def due(self, day: date = AS_OF) -> list[dict[str, Any]]:
        return [asdict(mail) for mail in due_mails(self.path, day, Counter())]

    def fold(self, *files: DroppedFile) -> FeedbackReport:
        return fold_in(self.path, files, RULES, run_id="a-run", moment=NOW)

    def drop(self, name: str, lines: list[dict[str, Any]] | str | bytes) -> DroppedFile:
        """A feedback file beside the database."""
        if isinstance(lines, list):
            lines = "".join(f"{json.dumps(line)}\n" for line in lines)
        body = lines if isinstance(lines, bytes) else lines.encode()
        path = self.path.with_name(name)
        path.write_bytes(body)
        return DroppedFile(path, name, hashlib.md5(body, usedforsecurity=False).hexdigest())

    def say(self, *lines: dict[str, Any], name: str = "a.jsonl") -> FeedbackReport:
        """Fold one file of these lines."""
        return self.fold(self.drop(name, list(lines)))

    def again(self, day: date = date(2026, 11, 24)) -> Any:  # noqa: ANN401 - a report, of which tests take what they like
        """The next day's pass."""
        return run_pass(self.path, day, RULES, "next-run", NOW)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return query(self.path, sql)

    def execute(self, sql: str) -> None:
        execute(self.path, sql)

    def mail(self, line: dict[str, Any]) -> tuple[Any, ...]:
        """Status, send date and actual time of the one row of a mail."""
        (row,) = self.query(
            "SELECT status, scheduled_send_date, actual_send_datetime, skip_reason FROM email_schedules WHERE "
            f"contact_id = {line['contact_id']} AND email_type = '{line['email_type']}' "
            f"AND event_date = '{line['event_date']}' AND campaign_instance_id = {line['campaign_instance_id']}"
        )
        return row


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("feedback") / "contacts.db"
    invent_database(path, 400, 7, 0.0)
    run_pass(path, AS_OF, RULES, "first-run", NOW)
    return path.read_bytes()


@pytest.fixture
def scheduled(tmp_path: Path, template: bytes) -> Scheduled:
    path = tmp_path / "contacts.db"
    path.write_bytes(template)
    return Scheduled(path)
