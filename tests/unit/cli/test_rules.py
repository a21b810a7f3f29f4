"""`mailtide rules`: what is shown is what is in force."""

import json
from datetime import date
from pathlib import Path

import pytest

from mailtide.cli.rules import describe
from mailtide.rules.config import Window, load_rules, packaged_rules
from tests.unit.cli.conftest import Run


def test_a_state_is_shown_with_its_source_and_the_day_it_was_checked(run: Run) -> None:
    shown = run("rules", "--state", "ca").out
    assert "30 days" in shown
    assert "10192.11" in shown
    assert "2026-11-01" in shown
    assert "birthday_days_before" not in shown


def test_all_values_and_states_are_shown(run: Run) -> None:
    shown = run("rules").out
    rules = load_rules()
    for name in set(rules.plain()) - {"states", "templates", "priorities"}:
        assert name in shown
    for state in rules.states:
        assert f"│ {state} " in shown


@pytest.mark.parametrize("name", ["default", "origin"])
def test_json_is_the_rules_themselves(run: Run, name: str, tmp_path: Path) -> None:
    shown = json.loads(run("rules", "--rules", name, "--json").out)
    rules = load_rules(packaged_rules(name))
    assert shown.pop("sha256") == rules.sha256
    again = tmp_path / "again.yaml"
    again.write_text(json.dumps(shown))
    assert load_rules(again.read_text()) == rules


def test_json_of_one_state(run: Run) -> None:
    ca = json.loads(run("rules", "--state", "CA", "--json").out)
    assert [window["kind"] for window in ca["states"]["CA"]] == ["birthday"]
    assert json.loads(run("rules", "--state", "TX", "--json").out) == {"states": {"TX": []}}
    assert run("rules", "--state", "TX").out == "TX has no exclusion windows.\n"


def test_a_file_of_ones_own(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text('period_days: 21\nstates: {TX: [{kind: year_round, source: "[red]a\\e[31mb"}]}\n')
    shown = run("rules", "--rules", file).out
    assert "│ 21 " in shown
    assert "[red]a?[31mb" in shown
    assert "CA" not in shown
    file.write_text("states: {}\n")
    assert "No state has exclusion windows." in run("rules", "--rules", file).out


@pytest.mark.parametrize("state", ["XX", "", "California", "PR"])
def test_what_is_no_state_is_refused(run: Run, state: str) -> None:
    done = run("rules", "--state", state)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("mailtide: --state is ")
    assert len(done.err.splitlines()) == 1


def test_windows_in_words() -> None:
    plain = Window(kind="birthday", before=0, after=60)
    assert describe(plain) == "0 days before to 60 days after the birthday"
    odd = Window(
        kind="effective_date", before=1, after=2, month_start=True, min_age=65, max_age=75,
        valid_from=date(2026, 1, 1), valid_to=date(2027, 1, 1),
    )  # fmt: skip
    assert describe(odd) == (
        "1 days before to 2 days after the first of the month of the effective date, from age 65, up to age 75, "
        "from 2026-01-01 on, until 2027-01-01"
    )
    assert describe(Window(kind="year_round")) == "all year"
