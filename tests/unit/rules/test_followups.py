"""Follow-ups, worked out by hand."""

from typing import Any

import pytest

from tests.reference.tables import Tables
from tests.unit.rules.small import brief, campaign_type, contact, plan, scheduled

SENT = scheduled(1, 1, "birthday", "2026-03-15", "2026-03-01")


def followups(tables: Tables, as_of: str) -> list[tuple[str, str, str, str | None]]:
    return [row for row in brief(plan(tables, as_of)) if row[0].startswith("followup_")]


def with_history(*rows: dict[str, Any], state: str = "TX") -> Tables:
    return Tables(contacts=[contact(1, state, "1950-03-15")], schedules=list(rows))


def answer(created: str, **metadata: object) -> dict[str, Any]:
    from tests.reference import values

    return {
        "contact_id": 1,
        "event_type": "eligibility_answered",
        "created_at": values.date(created),
        "metadata": metadata,
    }


@pytest.mark.parametrize(
    ("as_of", "send"),
    [
        ("2026-03-01", "2026-03-03"),
        ("2026-03-03", "2026-03-03"),
        ("2026-03-20", "2026-03-20"),
        ("2026-04-05", "2026-04-05"),
    ],
)
def test_two_days_after_the_mail_or_today(as_of: str, send: str) -> None:
    assert followups(with_history(SENT), as_of) == [("followup_1_cold", "2026-03-01", send, None)]


def test_not_after_the_lookback_and_not_before_it_was_sent() -> None:
    assert followups(with_history(SENT), "2026-04-06") == []
    assert followups(with_history(SENT), "2026-02-28") == []


def test_the_strongest_sign_decides() -> None:
    tables = with_history(SENT)
    tables.clicks = [{"contact_id": 1, "clicked_at": answer("2026-03-01")["created_at"]}]
    assert followups(tables, "2026-03-02")[0][0] == "followup_2_clicked_no_hq"
    tables.events = [answer("2026-03-02", has_medical_conditions="yes", main_questions_yes_count=0)]
    assert followups(tables, "2026-03-02")[0][0] == "followup_3_hq_no_yes"
    tables.events.append(answer("2026-03-03", has_medical_conditions=True))
    assert followups(tables, "2026-03-02")[0][0] == "followup_3_hq_no_yes"
    assert followups(tables, "2026-03-03")[0][0] == "followup_4_hq_with_yes"


def test_what_happened_before_the_mail_does_not_count() -> None:
    tables = with_history(SENT)
    tables.events = [answer("2026-02-28", has_medical_conditions=True)]
    assert followups(tables, "2026-03-02")[0][0] == "followup_1_cold"


def test_the_date_it_was_really_sent_counts() -> None:
    late = SENT | {"actual_send_datetime": answer("2026-03-10")["created_at"]}
    assert followups(with_history(late), "2026-03-09") == []
    assert followups(with_history(late), "2026-03-10") == [("followup_1_cold", "2026-03-01", "2026-03-12", None)]


def test_once_followed_up_never_again_for_that_mail() -> None:
    done = scheduled(2, 1, "followup_1_cold", "2026-03-01", "2026-03-03")
    assert followups(with_history(SENT, done), "2026-03-05") == []
    assert followups(with_history(SENT, done | {"email_type": "followup_of_old"}), "2026-03-05") == []
    earlier = done | {"scheduled_send_date": answer("2026-02-27")["created_at"], "event_date": None}
    assert len(followups(with_history(SENT, earlier), "2026-03-05")) == 1


def test_only_sent_mails_of_types_that_want_it() -> None:
    campaign = SENT | {"email_type": "campaign_rate", "campaign_instance_id": 7, "priority": 3}
    tables = with_history(campaign)
    assert followups(tables, "2026-03-02") == []
    tables.campaign_types = [campaign_type("rate", active=False)]
    rows = [row for row in plan(tables, "2026-03-02") if row["email_type"] == "followup_1_cold"]
    assert [(row["campaign_instance_id"], row["priority"]) for row in rows] == [(7, 3)]
    tables.campaign_types = [campaign_type("rate", enable_followups=False)]
    assert followups(tables, "2026-03-02") == []
    for status in ("scheduled", "processing", "failed"):
        assert followups(with_history(SENT | {"status": status}), "2026-03-02") == []


def test_windows_apply_and_a_held_key_is_kept() -> None:
    assert followups(with_history(SENT, state="CA"), "2026-03-02") == [
        ("followup_1_cold", "2026-03-01", "2026-03-03", "birthday_window:CA")
    ]
    held = scheduled(2, 1, "followup_1_cold", "2026-03-01", "2026-02-20", status="cancelled")
    assert followups(with_history(SENT, held), "2026-03-02") == []
