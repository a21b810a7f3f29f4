"""What feedback changes in the schedule reaches those who apply changesets too."""

import json
import shutil
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

from mailtide.database.changeset_apply import apply_file
from mailtide.database.changeset_record import put_before
from mailtide.database.due import due_mails
from mailtide.feedback.fold import DroppedFile, fold_in
from mailtide.rules.config import load_rules
from tests.integration.pass_.rows import execute, query
from tests.integration.sync.days import Day, content, live_through

SENT = "SELECT id, status, actual_send_datetime FROM email_schedules WHERE status NOT IN ('pre-scheduled', 'skipped')"


def test_mails_that_were_sent_are_history_in_the_application_too(first: Day, tmp_path: Path) -> None:
    folded, live = (Path(shutil.copyfile(first.after, tmp_path / name)) for name in ("folded.db", "live.db"))
    days = [
        row[0] for row in query(live, "SELECT DISTINCT scheduled_send_date FROM email_schedules ORDER BY 1 LIMIT 30")
    ]
    mails = [mail for day in days for mail in due_mails(folded, date.fromisoformat(day), Counter())][:3]
    lines = [{"idempotency_key": mail.idempotency_key, "state": "sent", "at": "2026-11-21T14:00:00Z"} for mail in mails]
    file = tmp_path / "sent.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    changes = tmp_path / "feedback.changeset"
    noon = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    dropped = DroppedFile(file, file.name, "etag")
    report = fold_in(folded, [dropped], load_rules(), run_id="a-run", moment=noon, changes=changes)
    assert [one.applied for one in report.files] == [3]
    made = live_through(tmp_path, folded, date(2026, 11, 22))
    put_before(made.changeset, changes)
    known = query(folded, SENT)[0]
    execute(
        live, f"UPDATE email_schedules SET status = 'delivered', actual_send_datetime = 'mine' WHERE id = {known[0]}"
    )
    done = apply_file(made.changeset, live)
    assert done.kept == 1
    assert query(live, SENT) == [(known[0], "delivered", "mine"), *query(made.after, SENT)[1:]]
    one, two = content(live)["email_schedules"], content(made.after)["email_schedules"]
    assert len([row for row in one if row not in two]) == 1
