"""What a report counts, against plain SQL over the same database."""

from datetime import timedelta
from pathlib import Path

from mailtide.machine.dry_run import dry_run
from mailtide.reporting.collect import collect_facts
from mailtide.reporting.facts import DAYS, ReportFacts
from mailtide.rules.config import Rules, load_rules
from tests.integration.pass_.rows import execute, fingerprint, query
from tests.integration.reporting.conftest import AS_OF, STARTED
from tests.reference import values

LAST = AS_OF + timedelta(days=DAYS - 1)


def test_volume_is_that_of_the_schedule(facts: ReportFacts, invented_plan: Path) -> None:
    rows = query(
        invented_plan,
        "SELECT email_type, scheduled_send_date, count(*) FROM email_schedules WHERE status = 'pre-scheduled' GROUP BY 1, 2",
    )
    inside = {(kind, day): count for kind, day, count in rows if day <= LAST.isoformat()}
    found = {
        (kind, (AS_OF + timedelta(days=offset)).isoformat()): count
        for kind, counts in facts.volume.by_type.items()
        for offset, count in enumerate(counts)
        if count
    }
    assert found == inside
    assert {len(counts) for counts in facts.volume.by_type.values()} == {DAYS}
    assert facts.planned == sum(count for *_, count in rows)
    assert facts.volume.later == facts.planned - sum(inside.values())
    assert {"campaign_news", "campaign_late", "birthday", "followup_1_cold"} <= set(facts.volume.by_type)


def test_skips_are_those_of_the_schedule_by_the_state_of_the_contact(facts: ReportFacts, invented_plan: Path) -> None:
    rows = query(
        invented_plan,
        "SELECT upper(trim(c.state)), c.zip_code, s.skip_reason FROM email_schedules s JOIN contacts c ON c.id = s.contact_id "
        "WHERE s.status = 'skipped'",
    )
    wanted: dict[str, dict[str, int]] = {}
    for state, zip_code, reason in rows:
        kind, _, detail = reason.partition(":")
        where = state if state and len(state) == 2 else values.state_of_zip(zip_code)
        assert kind in ("same_day", "frequency_limit") or detail == where
        assert where is not None
        row = wanted.setdefault(where, {})
        row[kind] = row.get(kind, 0) + 1
    assert facts.skips.by_state == wanted
    assert facts.skipped == len(rows)
    same_day = [reason.partition(":")[2] for *_, reason in rows if reason.startswith("same_day:")]
    assert facts.skips.details == {name: same_day.count(name) for name in facts.skips.details}
    assert sum(facts.skips.details.values()) == len(same_day) > 0


def test_moves_are_those_of_the_pass(facts: ReportFacts, invented_plan: Path, rules: Rules) -> None:
    report, changes = dry_run(invented_plan, AS_OF, rules, "again", STARTED)
    kinds = facts.moves.by_type.values()
    assert sum(kind.spread for kind in kinds) == report.notes["smoothed_effective_dates"] > 0
    assert sum(kind.capped for kind in kinds) == report.notes["moved_by_daily_cap"] > 0
    assert sum(facts.moves.before) == sum(facts.moves.after)
    assert facts.moves.before != facts.moves.after
    assert facts.caps is not None
    assert facts.caps.cap == report.eligible // 100
    assert (facts.would_insert, facts.would_update, facts.would_delete) == (0, 0, 0)
    assert changes.same == facts.planned + facts.skipped
    named = {"invalid_id": 0, **report.skipped_contacts, **report.notes}
    for one in facts.findings:
        assert named[one.reason] == one.count
    unmentioned = {name for name, count in named.items() if count} - {one.reason for one in facts.findings}
    assert unmentioned <= {"smoothed_effective_dates", "moved_by_daily_cap"}


def test_examples_are_what_they_are_said_to_be(facts: ReportFacts, invented_plan: Path) -> None:
    found = {one.reason: one.examples for one in facts.findings}
    assert found["campaign_instances_without_start"] == [3]
    assert found["invalid_instance_date"] == [4]
    assert found["invalid_contact_campaigns_trigger_date"] == [5]
    assert all(0 < len(examples) <= 5 for examples in found.values())

    def values_of(reason: str, column: str) -> list[str]:
        wanted = ", ".join(map(str, found[reason]))
        return [row[0] for row in query(invented_plan, f"SELECT {column} FROM contacts WHERE id IN ({wanted})")]

    suppressed = {row[0].strip().lower() for row in query(invented_plan, "SELECT email FROM suppressions")}
    assert {email.strip().lower() for email in values_of("suppressed", "email")} <= suppressed
    assert not any(values.email_is_valid(email) for email in values_of("invalid_email", "email"))
    assert not any(values.date(day) for day in values_of("invalid_birth_date", "birth_date"))
    assert "2026-02-30" in values_of("invalid_birth_date", "birth_date")


def test_runs_and_campaigns(facts: ReportFacts, invented_plan: Path) -> None:
    assert [(run.run_id, run.as_of, run.status) for run in facts.runs.shown] == [
        ("run-2", "2026-11-21", "done"),
        ("run-1", "2026-11-01", "done"),
    ]
    assert facts.runs.total == 2
    count = "SELECT status, count(*) FROM email_schedules WHERE campaign_instance_id = 1 GROUP BY 1"
    planned = dict(query(invented_plan, count))
    news = next(one for one in facts.campaigns if one.id == 1 and one.email_type == "campaign_news")
    assert (news.name, news.planned) == ("News of December", planned["pre-scheduled"])


def test_a_report_changes_nothing_and_tells_of_a_schedule_that_is_not_the_plan(scheduled: Path, rules: Rules) -> None:
    execute(scheduled, "DELETE FROM email_schedules WHERE id IN (SELECT id FROM email_schedules "
                       "WHERE status = 'pre-scheduled' LIMIT 10)")  # fmt: skip
    execute(scheduled, "PRAGMA journal_mode = wal")
    before = fingerprint(scheduled)
    found = collect_facts(scheduled, AS_OF, rules, threads=1)
    assert fingerprint(scheduled) == before
    assert found.would_insert == 10
    assert collect_facts(scheduled, AS_OF, rules, threads=3) == found


def test_a_database_with_nothing_in_it(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    execute(path, "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email, state)")
    for text in ("daily_cap_fraction: null\n", None):
        found = collect_facts(path, AS_OF, load_rules(text))
        assert (found.contacts, found.planned, found.findings, found.volume.by_type) == (0, 0, [], {})
        assert (found.runs.table_exists, found.runs.shown) == (False, [])
        assert (found.caps is None) == (text is not None)
