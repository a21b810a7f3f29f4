"""What feedback does to a database: each line its effect, each file once, and what the next pass makes of it."""

import io
import json
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.errors import DatabaseError, InputError
from mailtide.feedback.lines import Clock, read_lines
from mailtide.importing.records import Refusal
from tests.integration.feedback.conftest import NOW, RULES, Scheduled
from tests.integration.pass_.rows import fingerprint
from tests.unit.cli.conftest import Run

AT = "2026-11-21T14:30:05Z"
LOCAL = "2026-11-21T08:30:05-06:00"


def test_a_sent_mail_becomes_history_that_the_next_pass_keeps(scheduled: Scheduled) -> None:
    line, *_ = scheduled.due()
    report = scheduled.say({"state": "sent", "idempotency_key": line["idempotency_key"], "at": AT})
    assert (report.files[0].applied, report.problems, report.changed) == (1, (), True)
    row = ("sent", "2026-11-21", LOCAL, None)
    assert scheduled.mail(line) == row
    scheduled.again()
    assert scheduled.mail(line) == row


def test_a_days_mails_by_what_due_hands_out(scheduled: Scheduled) -> None:
    mails = scheduled.due()
    report = scheduled.say(*({**mail, "state": "sent", "at": AT, "message_id": "<a@b>"} for mail in mails))
    assert report.files[0].applied == len(mails) > 5
    assert scheduled.due() == []
    found = scheduled.query("SELECT count(*) FROM email_schedules WHERE status = 'sent'")
    assert found == [(len(mails),)]


@pytest.mark.parametrize(
    ("states", "ends"),
    [
        (["sent", "delivered"], "delivered"),
        (["delivered", "sent"], "delivered"),
        (["sent", "bounced"], "bounced"),
        (["bounced", "delivered", "sent"], "bounced"),
    ],
)
def test_events_in_any_order_end_alike(scheduled: Scheduled, states: list[str], ends: str) -> None:
    line, *_ = scheduled.due()
    for number, state in enumerate(states):
        scheduled.say({"state": state, "idempotency_key": line["idempotency_key"], "at": AT}, name=f"{number}.jsonl")
    assert scheduled.mail(line)[0] == ends
    assert scheduled.query("SELECT * FROM suppressions WHERE email = lower('x')") == []


def test_only_a_hard_bounce_suppresses_the_address_that_bounced(scheduled: Scheduled) -> None:
    soft, hard, other = scheduled.due()[:3]
    report = scheduled.say(
        {"state": "bounced", "idempotency_key": soft["idempotency_key"], "at": AT, "bounce": "soft"},
        {"state": "bounced", "idempotency_key": hard["idempotency_key"], "at": AT, "bounce": "hard"},
        {**other, "state": "bounced", "at": AT, "bounce": "HARD", "email": "Old.Address@Example.com"},
    )
    assert report.files[0].applied == 3
    added = {email for (email,) in scheduled.query("SELECT email FROM suppressions")}
    assert {hard["email"].lower(), "old.address@example.com"} <= added
    assert soft["email"].lower() not in added
    before = scheduled.query(f"SELECT count(*) FROM email_schedules WHERE contact_id = {hard['contact_id']}")
    scheduled.again()
    after = scheduled.query(f"SELECT status FROM email_schedules WHERE contact_id = {hard['contact_id']}")
    assert after == [("bounced",)], f"of {before} rows only what happened is left"


def test_clicks_and_answers_lead_to_their_follow_ups(scheduled: Scheduled) -> None:
    cold, clicked, answered, yes = scheduled.due()[:4]
    contact_events = {"has_medical_conditions": True, "main_questions_yes_count": 2}
    scheduled.say(
        *({"state": "sent", "idempotency_key": m["idempotency_key"], "at": AT} for m in (cold, clicked, answered, yes)),
        {"state": "clicked", "contact_id": clicked["contact_id"], "at": "2026-11-21T20:00:00Z"},
        {"state": "answered", "idempotency_key": answered["idempotency_key"], "at": "2026-11-22", "metadata": {}},
        {
            "state": "answered",
            "contact_id": yes["contact_id"],
            "at": "2026-11-22T01:00:00Z",
            "metadata": contact_events,
        },
    )
    scheduled.again(date(2026, 11, 22))
    kinds = dict(
        scheduled.query("SELECT contact_id, email_type FROM email_schedules WHERE email_type LIKE 'followup%'")
    )
    assert kinds[cold["contact_id"]] == "followup_1_cold"
    assert kinds[clicked["contact_id"]] == "followup_2_clicked_no_hq"
    assert kinds[answered["contact_id"]] == "followup_3_hq_no_yes"
    assert kinds[yes["contact_id"]] == "followup_4_hq_with_yes"


def test_the_day_is_that_of_the_organisation(scheduled: Scheduled) -> None:
    """Half past two at night in UTC is the evening before in Chicago."""
    line, *_ = scheduled.due()
    scheduled.say({"state": "sent", "idempotency_key": line["idempotency_key"], "at": "2026-11-22T02:30:00+00:00"})
    assert scheduled.mail(line)[2] == "2026-11-21T20:30:00-06:00"


def test_who_unsubscribes_is_suppressed_once(scheduled: Scheduled) -> None:
    first, second, third = scheduled.due()[:3]
    report = scheduled.say(
        {"state": "unsubscribed", "email": f" {first['email'].upper()} "},
        {"state": "unsubscribed", "contact_id": first["contact_id"]},
        {"state": "unsubscribed", "contact_id": second["contact_id"], "at": AT},
        {"state": "unsubscribed", "idempotency_key": third["idempotency_key"]},
    )
    assert (report.files[0].applied, report.files[0].unchanged) == (3, 1)
    wanted = {mail["email"].lower() for mail in (first, second, third)}
    assert wanted <= {email for (email,) in scheduled.query("SELECT email FROM suppressions")}


def test_a_mail_that_the_plan_no_longer_holds_is_recorded_all_the_same(scheduled: Scheduled) -> None:
    line, *_ = scheduled.due()
    scheduled.execute(f"DELETE FROM email_schedules WHERE contact_id = {line['contact_id']}")
    key_alone = {"state": "sent", "idempotency_key": line["idempotency_key"], "at": AT}
    report = scheduled.say(key_alone, {**line, "state": "sent", "at": AT})
    assert (report.files[0].applied, report.files[0].refused) == (1, 1)
    assert "no mail of the schedule has its idempotency_key" in report.problems[0]
    assert scheduled.mail(line) == ("sent", line["scheduled_send_date"], LOCAL, None)
    scheduled.again()
    assert scheduled.mail(line)[0] == "sent", "and it is not planned a second time"


def test_a_mail_that_a_later_run_had_moved_counts_on_the_day_it_went_out(scheduled: Scheduled) -> None:
    line, *_ = scheduled.due()
    scheduled.execute(
        f"UPDATE email_schedules SET scheduled_send_date = '2026-11-26' WHERE contact_id = {line['contact_id']} "
        f"AND email_type = '{line['email_type']}'"
    )
    scheduled.say({"state": "sent", "idempotency_key": line["idempotency_key"], "at": AT})
    assert scheduled.mail(line)[:3] == ("sent", "2026-11-21", LOCAL)


@pytest.mark.parametrize("status", ["cancelled", "failed", "sent", "delivered"])
def test_what_the_customer_wrote_wins(scheduled: Scheduled, status: str) -> None:
    line, *_ = scheduled.due()
    scheduled.execute(
        f"UPDATE email_schedules SET status = '{status}', actual_send_datetime = '2026-11-20 09:00' "
        f"WHERE contact_id = {line['contact_id']} AND email_type = '{line['email_type']}'"
    )
    report = scheduled.say({"state": "sent", "idempotency_key": line["idempotency_key"], "at": AT})
    assert (report.files[0].unchanged, scheduled.mail(line)[::2]) == (1, (status, "2026-11-20 09:00"))


def test_a_file_is_folded_in_once_and_an_older_database_gets_it_again(scheduled: Scheduled, template: bytes) -> None:
    line, *_ = scheduled.due()
    file = scheduled.drop("a.jsonl", [{"state": "clicked", "contact_id": line["contact_id"], "at": AT}])
    assert scheduled.fold(file).files[0].applied == 1
    state = fingerprint(scheduled.path)
    report = scheduled.fold(file)
    assert (report.files, report.known, report.changed) == ((), 1, False)
    assert fingerprint(scheduled.path) == state, "not a byte"
    scheduled.path.write_bytes(template)
    assert scheduled.fold(file).files[0].applied == 1
    assert scheduled.query("SELECT file, etag, lines, applied, run_id FROM scheduler_feedback") == [
        ("a.jsonl", file.etag, 1, 1, "a-run")
    ]


def test_the_same_events_in_another_file_change_nothing(scheduled: Scheduled) -> None:
    line, *_ = scheduled.due()
    lines = [
        {"state": "sent", "idempotency_key": line["idempotency_key"], "at": AT},
        {"state": "clicked", "contact_id": line["contact_id"], "at": AT},
        {"state": "answered", "contact_id": line["contact_id"], "at": AT, "metadata": {"a": 1}},
        {"state": "unsubscribed", "contact_id": line["contact_id"]},
    ]
    scheduled.say(*lines)
    report = scheduled.say(*lines, *lines, name="b.jsonl")
    assert (report.files[0].applied, report.files[0].unchanged) == (0, 8)
    for table in ("tracking_clicks", "contact_events"):
        assert scheduled.query(f"SELECT count(*) FROM {table}") == [(1,)]


def test_csv_says_the_same(scheduled: Scheduled) -> None:
    first, second = scheduled.due()[:2]
    text = (
        "State;At;Idempotency Key;contact_id;metadata\r\n"
        f"sent;{AT};{first['idempotency_key'].upper()};;\r\n"
        f'answered;{AT};;{second["contact_id"]};"{{""has_medical_conditions"": true}}"\r\n'
        "clicked;;;;\r\n"
    )
    report = scheduled.fold(scheduled.drop("a.csv", "\ufeff" + text))
    assert (report.files[0].applied, report.problems) == (2, ("a.csv, line 4: at is missing.",))
    assert scheduled.mail(first)[0] == "sent"
    ((metadata,),) = scheduled.query("SELECT metadata FROM contact_events")
    assert json.loads(metadata) == {"has_medical_conditions": True}


BAD: list[tuple[Any, str]] = [
    ({"state": "opened", "at": AT, "contact_id": 1}, "state must be one of sent, delivered"),
    ({"at": AT, "contact_id": 1}, "state must be one of"),
    ({"state": "sent", "at": AT}, "it names no mail"),
    ({"state": "sent", "at": AT, "contact_id": 1}, "it names no mail"),
    ({"state": "clicked", "at": AT}, "it names nobody"),
    ({"state": "clicked", "at": AT, "email": "p1@example.com"}, "it names nobody"),
    ({"state": "clicked", "contact_id": 1}, "at is missing"),
    ({"state": "clicked", "contact_id": 1, "at": "yesterday"}, "at must be a time"),
    ({"state": "clicked", "contact_id": 1, "at": 1763735405}, "at must be a time"),
    ({"state": "clicked", "contact_id": 1, "at": "2062-11-21"}, "at lies in the future"),
    ({"state": "clicked", "contact_id": 1, "at": "0001-01-01T00:00:00+14:00"}, "at must be a time"),
    ({"state": "clicked", "contact_id": 1.5, "at": AT}, "contact_id must be a whole number"),
    ({"state": "clicked", "contact_id": True, "at": AT}, "contact_id must be a whole number"),
    ({"state": "clicked", "contact_id": 10**30, "at": AT}, "contact_id must be a whole number"),
    ({"state": "clicked", "contact_id": 999_999, "at": AT}, "there is no such contact"),
    ({"state": "sent", "idempotency_key": "abc", "at": AT}, "idempotency_key must be the 64 hexadecimal digits"),
    ({"state": "sent", "idempotency_key": "0" * 64, "at": AT}, "no mail of the schedule has its idempotency_key"),
    ({"state": "answered", "contact_id": 1, "at": AT, "metadata": [1]}, "metadata must be a JSON object"),
    ({"state": "answered", "contact_id": 1, "at": AT, "metadata": "{"}, "metadata must be a JSON object"),
    ({"state": "unsubscribed", "email": "nobody"}, "email is no e-mail address"),
    ({"state": "unsubscribed", "email": "a@b.c\ud800"}, "email is no text"),
    ([1], "it is no JSON object"),
]


@pytest.mark.parametrize(("line", "said"), BAD, ids=[f"{number}" for number in range(len(BAD))])
def test_a_bad_line_is_named_and_costs_no_other(scheduled: Scheduled, line: object, said: str) -> None:
    good, *_ = scheduled.due()
    text = (
        f"{json.dumps(line)}\n{json.dumps({'state': 'sent', 'idempotency_key': good['idempotency_key'], 'at': AT})}\n"
    )
    report = scheduled.fold(scheduled.drop("a.jsonl", text))
    assert (report.files[0].applied, report.files[0].refused) == (1, 1)
    assert report.problems[0].startswith(f"a.jsonl, line 1: {said}"), report.problems[0]
    assert "\n" not in report.problems[0]


def test_a_key_of_another_mail_is_refused(scheduled: Scheduled) -> None:
    one, two = scheduled.due()[:2]
    line = {**one, "idempotency_key": two["idempotency_key"], "state": "sent", "at": AT}
    assert "is not that of its contact" in scheduled.say(line).problems[0]
    assert {scheduled.mail(mail)[0] for mail in (one, two)} == {"pre-scheduled"}


@pytest.mark.parametrize(
    "body",
    [b"", b"\n\n", b"\x00\xff\n" * 100, b"{" * 300_000, b'{"a":' * 50_000, b"[" * 100_000 + b"\n", b"\xef\xbb\xbf\n"],
    ids=["empty", "blank", "no text", "a giant line", "deep", "brackets", "bom"],
)
def test_files_of_nonsense_are_folded_in_as_nothing(scheduled: Scheduled, body: bytes) -> None:
    for name in ("a.jsonl", "a.csv"):
        report = scheduled.fold(scheduled.drop(name, body))
        assert report.files[0].applied == 0
        assert len(report.problems) <= 50
    assert scheduled.query("SELECT count(*) FROM scheduler_feedback") == [(2,)]


def test_problems_are_bounded_and_show_no_value(scheduled: Scheduled) -> None:
    secret = "someone@private.example"
    report = scheduled.say(*({"state": secret, "email": secret, "at": secret} for _ in range(2_000)))
    assert (report.refused, len(report.problems)) == (2_000, 50)
    assert secret not in report.model_dump_json()


def test_older_tables_are_mended_first(tmp_path: Path) -> None:
    """No actual_send_datetime, the event date in parts, and a UNIQUE constraint that has to go."""
    path = tmp_path / "contacts.db"
    scheduled = Scheduled(path)
    scheduled.execute(
        "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, state TEXT, birth_date TEXT);"
        "INSERT INTO contacts VALUES (7, 'ann@example.org', 'TX', '1950-12-05');"
        "CREATE TABLE email_schedules (id INTEGER PRIMARY KEY, contact_id INTEGER, email_type TEXT, event_year INTEGER, "
        "event_month INTEGER, event_day INTEGER, scheduled_send_date TEXT, scheduled_send_time TEXT, status TEXT, "
        "UNIQUE (contact_id, email_type, event_year));"
        "INSERT INTO email_schedules VALUES (1, 7, 'birthday', 2026, 12, 5, '2026-11-21', '08:30:00', 'pre-scheduled')"
    )
    (line,) = scheduled.due()
    assert scheduled.say({"state": "sent", "idempotency_key": line["idempotency_key"], "at": AT}).problems == ()
    assert scheduled.query("SELECT status, actual_send_datetime FROM email_schedules") == [("sent", LOCAL)]
    scheduled.again()
    rows = scheduled.query("SELECT status, event_year FROM email_schedules WHERE email_type = 'birthday'")
    assert rows == [("sent", 2026)]


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_rows_as_people_keep_them_are_found_by_what_due_hands_out(tmp_path: Path, encoding: str) -> None:
    """Ids and dates as text, times in dates, days that are none, types beyond ASCII, missing campaigns."""
    scheduled = Scheduled(tmp_path / "contacts.db")
    rows = [
        "7, 'birthday', '2026-12-05', 0", "'7', 'birthday', '2026-12-06', '0'", "7.0, 'campaign_größe', '2026-12-05', 3",
        "7, 'birthday', '2026-12-05T10:00', NULL", "7, 'aep', '2026-02-31', 0", "7, 'aep', NULL, 12", "7, 'aep', 20261205, 1",
        "7, 'post_window', '1850-01-01', 0", "-3, 'birthday', '2026-12-05', 0",
    ]  # fmt: skip
    scheduled.execute(
        f"PRAGMA encoding = '{encoding}'; CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, state TEXT);"
        "INSERT INTO contacts VALUES (7, 'ann@example.org', 'TX'), (-3, 'neg@example.org', 'TX');"
        "CREATE TABLE email_schedules (id INTEGER PRIMARY KEY, contact_id, email_type, event_date, campaign_instance_id, "
        "scheduled_send_date TEXT, scheduled_send_time TEXT, status TEXT)"
    )
    for row in rows:
        scheduled.execute(
            f"INSERT INTO email_schedules VALUES (NULL, {row}, '2026-11-21', '08:30:00', 'pre-scheduled')"
        )
    mails = scheduled.due()
    assert len(mails) == len(rows)
    report = scheduled.say(*({"state": "sent", "idempotency_key": m["idempotency_key"], "at": AT} for m in mails))
    # The first and the fourth are one mail, of which the row with the lowest id is meant.
    assert (report.files[0].applied, report.files[0].unchanged, report.problems) == (len(rows) - 1, 1, ())
    assert scheduled.query("SELECT id FROM email_schedules WHERE status <> 'sent'") == [(4,)]


def test_a_database_without_any_of_the_tables(tmp_path: Path) -> None:
    scheduled = Scheduled(tmp_path / "contacts.db")
    scheduled.execute(
        "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, state TEXT);"
        "INSERT INTO contacts VALUES (7, 'ann@example.org', 'TX')"
    )
    mail = {"contact_id": 7, "email_type": "birthday", "event_date": "2026-12-05"}
    report = scheduled.say(
        {**mail, "state": "delivered", "at": AT},
        {**mail, "state": "clicked", "at": AT},
        {**mail, "state": "answered", "at": AT},
        {"state": "unsubscribed", "contact_id": 7},
    )
    assert (report.files[0].applied, report.problems) == (4, ())
    assert scheduled.query("SELECT status, priority, scheduled_send_time FROM email_schedules") == [
        ("delivered", 10, RULES.send_time)
    ]
    scheduled.again()


def test_tables_that_refuse_cost_the_line_alone(scheduled: Scheduled) -> None:
    line, *_ = scheduled.due()
    scheduled.execute(
        "CREATE TABLE tracking_clicks (contact_id INTEGER, clicked_at TEXT, url TEXT NOT NULL ON CONFLICT ROLLBACK);"
        "CREATE VIEW contact_events AS SELECT 1 AS contact_id, 2 AS event_type, 3 AS created_at;"
        "CREATE TRIGGER boom AFTER INSERT ON suppressions BEGIN SELECT RAISE(ABORT, 'boom'); END"
    )
    report = scheduled.say(
        {"state": "clicked", "contact_id": line["contact_id"], "at": AT},
        {"state": "answered", "contact_id": line["contact_id"], "at": AT},
        {"state": "unsubscribed", "contact_id": line["contact_id"]},
    )
    assert (report.files[0].applied, report.files[0].refused) == (1, 2)
    assert "the table refuses it" in report.problems[0]
    assert "something else of the name contact_events" in report.problems[1]


def test_a_ledger_that_is_not_ours_is_one_clear_sentence(scheduled: Scheduled) -> None:
    scheduled.execute("CREATE TABLE scheduler_feedback (file TEXT)")
    before = scheduled.path.read_bytes()
    with pytest.raises(DatabaseError, match="scheduler_feedback has no column etag"):
        scheduled.say({"state": "unsubscribed", "contact_id": 1})
    assert scheduled.path.read_bytes() == before


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_of_a_file_are_ever_more_than_refused(body: bytes, is_csv: bool) -> None:
    clock = Clock.of(RULES.timezone, NOW)
    with suppress(InputError):
        found = list(read_lines(io.BytesIO(body), is_csv=is_csv, clock=clock))
        assert all(isinstance(line, Refusal) for line in found)


def test_the_command(scheduled: Scheduled, run: Run) -> None:
    line, *_ = scheduled.due()
    good = scheduled.drop("good.jsonl", [{"state": "sent", "idempotency_key": line["idempotency_key"], "at": AT}])
    bad = scheduled.drop("bad.jsonl", [{"state": "sent", "at": AT}])
    first = run("feedback", scheduled.path, good.path)
    assert (first.code, first.out, first.err) == (0, "good.jsonl: 1 applied, 0 known already; 0 lines refused.\n", "")
    second = run("feedback", scheduled.path, good.path, bad.path)
    assert second.code == 2
    assert "1 file folded in before" in second.out
    assert second.err.startswith("mailtide: bad.jsonl, line 1: it names no mail")
    third = run("feedback", scheduled.path, good.path, "--json")
    assert json.loads(third.out)["known"] == 1
    for name in ("no.jsonl", "contacts.db"):
        refused = run("feedback", scheduled.path, scheduled.path.with_name(name))
        assert refused.code == 2
        assert len(refused.err.splitlines()) == 1
