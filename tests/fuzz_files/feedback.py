"""Feedback files that hold what nobody would send, folded into a live database."""

import csv
import io
import json
from collections import Counter
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import apsw

from mailtide.database.due import due_mails
from mailtide.database.invented import invent_database
from mailtide.errors import InputError
from mailtide.feedback.fold import DroppedFile, fold_in
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import load_rules
from tests.fuzz_files.guide import Target
from tests.fuzz_files.mutations import mutate_plain

_DAY = date(2026, 11, 20)
_NOON = datetime(2026, 11, 21, 18, 0, tzinfo=UTC)
_COLUMNS = (
    *("state", "at", "idempotency_key", "contact_id", "email_type", "event_date", "campaign_instance_id", "email"),
    *("bounce", "metadata", "scheduled_send_date", "priority"),
)
_TOKENS = (
    b'"state":"sent"', b'"state":"answered"', b'"state":null', b'"at":"9999-12-31T23:59:59.999999999+99:99"',
    b'"at":"0000-00-00"', b'"at":"2026-11-21T00:00:00-00:00"', b'"contact_id":9223372036854775808', b'"contact_id":-1',
    b'"contact_id":1e999', b'"contact_id":true', b'"contact_id":[[]]', b'"contact_id":' + b"9" * 5000,
    b'"email":"\\ud800@example.com"', b'"email":"\\u0000"', b'"metadata":{"main_questions_yes_count":NaN}',
    b'"metadata":' + b"[" * 3000 + b"]" * 3000, b'"metadata":{"a":"' + b"x" * 70_000 + b'"}', b'"event_date":"2026-02-30"',
    b'"email_type":"followup_1_cold"', b'"email_type":"campaign_\\"; DROP TABLE contacts; --"',
    b'"campaign_instance_id":-9223372036854775808', b'"priority":"-99999999999999999999"', b'"scheduled_send_date":"x"',
    b'"scheduled_send_time":"25:61:61"', b'"email_template":"' + b"t" * 20_000 + b'"', b"{}", b"[]", b"null", b"\xff\xfe",
    b"\xef\xbb\xbf", b"\x00", b"\r", b"\n", b"\r\n", b'"', b",", b";", b"\t", b"\x1f\x8b\x08", b"SQLite format 3\x00",
    b"a" * 300_000,
)  # fmt: skip
_LINES_OF_A_TRIAL = 60


@cache
def _database() -> tuple[bytes, tuple[dict[str, object], ...]]:
    """A schedule, and true lines about some of its mails."""
    with TemporaryDirectory(prefix="mailtide-fuzz-") as name:
        path = Path(name) / "scheduled.db"
        invent_database(path, 60, seed=12, bad_fraction=0.1)
        run_pass(path, _DAY, load_rules(), "run-0", datetime(2026, 11, 20, 10, 30, tzinfo=UTC), 1)
        connection = apsw.Connection(str(path))
        days = connection.execute(
            "SELECT DISTINCT scheduled_send_date FROM email_schedules ORDER BY 1 LIMIT 9"
        ).fetchall()
        connection.close()
        mails = [mail for (day,) in days for mail in due_mails(path, date.fromisoformat(str(day)), Counter())]
        return path.read_bytes(), tuple(_line(number, mail) for number, mail in enumerate(mails[:40]))


def _line(number: int, mail: object) -> dict[str, object]:
    """One of each state after the other; every other names the mail by its parts."""
    state = ("sent", "delivered", "bounced", "clicked", "answered", "unsubscribed")[number % 6]
    names = ("contact_id", "email_type", "event_date", "campaign_instance_id", "scheduled_send_date")
    told = {name: getattr(mail, name) for name in (names if number % 2 else ("idempotency_key", "contact_id"))}
    more: dict[str, object] = {"bounce": "hard"} if state == "bounced" and number % 4 == 0 else {}
    if state == "answered":
        more["metadata"] = {"main_questions_yes_count": number}
    return {"state": state, "at": f"2026-11-2{number % 2}T1{number % 10}:00:00Z", **told, **more}


def make_feedback(_folder: Path) -> list[bytes]:
    """JSON Lines, and CSV with commas and with semicolons."""
    lines = _database()[1]
    return ["".join(f"{json.dumps(line)}\n" for line in lines).encode(), *(_csv(lines, mark) for mark in ",;")]


def _csv(lines: tuple[dict[str, object], ...], delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, delimiter=delimiter)
    writer.writeheader()
    for line in lines:
        writer.writerow(line | {"metadata": json.dumps(line["metadata"]) if "metadata" in line else None})
    return text.getvalue().encode()


def _fold(path: Path) -> None:
    """Fold it in, twice; the ledger knows it then, the file is sound, and the next pass goes well."""
    before = _database()[0]
    suffix = "jsonl" if path.read_bytes()[:40].lstrip().startswith(b"{") else "csv"
    with TemporaryDirectory(prefix="mailtide-fuzz-") as name:
        live = Path(name) / "live.db"
        live.write_bytes(before)
        file = DroppedFile(path, f"a.{suffix}", "etag")
        changes = live.with_name("changes")
        report = fold_in(live, [file], load_rules(), run_id="run-1", moment=_NOON, changes=changes)
        if any("\n" in problem or not problem.isprintable() for problem in report.problems):
            raise AssertionError(f"not one clear sentence: {report.problems}")
        if fold_in(live, [file], load_rules(), run_id="run-2", moment=_NOON).known != 1:
            raise AssertionError("the ledger does not know it")
        run_pass(live, date(2026, 11, 21), load_rules(), "run-3", _NOON)
        _check_sound(live, before)
        if not any(folded.applied for folded in report.files):
            raise InputError("; ".join(report.problems)[:200] or "nothing in it")


def _check_sound(path: Path, before: bytes) -> None:
    """No page is damaged, and contacts are as they were."""
    first = path.with_name("before.db")
    first.write_bytes(before)
    connection = apsw.Connection(str(path))
    try:
        if (said := connection.execute("PRAGMA integrity_check").get) != "ok":
            raise AssertionError(f"the database is damaged: {said}")
        connection.execute("ATTACH ? AS first", (str(first),))
        if connection.execute("SELECT count(*) FROM (SELECT * FROM contacts EXCEPT SELECT * FROM first.contacts)").get:
            raise AssertionError("contacts were changed")
    finally:
        connection.close()


def _mutate(content: bytes, random: Random) -> bytes:
    """Some of the lines, with strange values in them, and then damage to the bytes at times."""
    first, *lines = content.splitlines(keepends=True) or [b""]
    random.shuffle(lines)
    changed = bytearray(first + b"".join(lines[:_LINES_OF_A_TRIAL]))
    for _ in range(random.choice((0, 1, 1, 3))):
        at = random.choice([0, *(place for place, byte in enumerate(changed) if byte in b"{,;\n")])
        token = random.choice(_TOKENS)
        changed[at + 1 : at + 1] = token + b"," if random.random() < 0.7 else token
    return mutate_plain(bytes(changed), random) if random.random() < 0.5 else bytes(changed)


FEEDBACK = Target({"fold": _fold}, _mutate, lambda _: ["fold"])
