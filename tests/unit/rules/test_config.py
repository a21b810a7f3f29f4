"""The rules file: what it accepts, what it refuses and with which words."""

import subprocess
import sys
from dataclasses import MISSING, fields, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from mailtide.errors import RulesError
from mailtide.rules import config, rules_file
from mailtide.rules.build_packaged_rules import json_path, json_text
from mailtide.rules.config import PACKAGED, Rules, load_packaged, load_rules, packaged_rules
from mailtide.rules.rules_yaml import MAX_SIZE_BYTES


def test_packaged_default_has_the_values_of_the_specification() -> None:
    rules = load_rules()
    expected = {
        "timezone": "America/Chicago",
        "send_time": "08:30:00",
        "birthday_days_before": 14,
        "effective_date_days_before": 30,
        "aep_dates": ("09-15",),
        "pre_window_extension_days": 60,
        "catch_up_spread_days": 7,
        "daily_cap_fraction": Decimal("0.07"),
        "overage_threshold": Decimal("1.2"),
        "ed_soft_limit_fraction": Decimal("0.30"),
        "ed_soft_limit": None,
        "ed_smoothing_days": 2,
        "max_emails_per_period": 2,
        "period_days": 14,
        "followup_days_after": 2,
        "followup_lookback_days": 35,
        "priorities": {"birthday": 10, "effective_date": 10, "aep": 10, "post_window": 10},
        "run_at_hour": 5,
    }
    values = rules.plain()
    assert {key: values[key] for key in expected} == expected


def test_default_windows_have_a_source_and_the_day_it_was_checked() -> None:
    states = load_rules().states
    assert len(states) == 18
    for windows in states.values():
        for window in windows:
            assert window.source
            assert window.verified_on == date(2026, 11, 1)
    assert [(w.after, w.valid_from, w.valid_to) for w in states["VA"]] == [
        (30, None, date(2025, 6, 30)),
        (60, date(2025, 7, 1), None),
    ]
    assert (states["IL"][0].min_age, states["IL"][0].max_age, states["NV"][0].month_start) == (65, 75, True)


def test_origin_replaces_the_states_whole_and_nothing_else() -> None:
    default, origin = load_rules(), load_rules(packaged_rules("origin"))
    assert " ".join(sorted(origin.states)) == "CA CT ID KY MA MD MO NV NY OK OR VA WA"
    assert replace(origin, states=default.states) == default


def test_a_key_that_is_set_replaces_the_packaged_value_whole() -> None:
    rules = load_rules("states: {}\ntemplates: {birthday: {email: hello}}\npriorities: {aep: 3}\n")
    assert rules.states == {}
    assert list(rules.templates) == ["birthday"]
    assert rules.templates["birthday"].sms is None
    assert (rules.priorities.aep, rules.priorities.birthday) == (3, 10)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_is_the_default(text: str) -> None:
    assert load_rules(text) == load_rules()


def test_values_keep_their_meaning() -> None:
    rules = load_rules(
        "send_time: 10:30:00\ndaily_cap_fraction: 0.1\nmax_emails_per_period: null\naep_dates: [02-29]\n"
    )
    assert rules.send_time == "10:30:00"
    assert rules.daily_cap_fraction == Decimal("0.1")
    assert rules.max_emails_per_period is None
    assert rules.aep_dates == ("02-29",)


REFUSED = [
    ("birthday_days_befor: 14", "birthday_days_befor", "14"),
    ("birthday_days_before: '14'", "birthday_days_before", "'14'"),
    ("birthday_days_before: 14.0", "birthday_days_before", "14.0"),
    ("birthday_days_before: true", "birthday_days_before", "true"),
    ("birthday_days_before: -1", "birthday_days_before", "-1"),
    ("birthday_days_before: null", "birthday_days_before", "null"),
    ("catch_up_spread_days: 0", "catch_up_spread_days", "0"),
    ("period_days: 0", "period_days", "0"),
    ("overage_threshold: 0.99", "overage_threshold", "0.99"),
    ("daily_cap_fraction: 0", "daily_cap_fraction", "0"),
    ("daily_cap_fraction: 1.01", "daily_cap_fraction", "1.01"),
    ("daily_cap_fraction: true", "daily_cap_fraction", "true"),
    ("daily_cap_fraction: .nan", "daily_cap_fraction", ".nan"),
    ("daily_cap_fraction: .inf", "daily_cap_fraction", ".inf"),
    ("daily_cap_fraction: 0." + "3" * 31, "daily_cap_fraction", "0.333"),
    ("ed_soft_limit_fraction: -0.1", "ed_soft_limit_fraction", "-0.1"),
    ("ed_soft_limit: 0", "ed_soft_limit", "0"),
    ("max_emails_per_period: 0", "max_emails_per_period", "0"),
    ("aep_dates: [02-30]", "aep_dates", "02-30"),
    ("aep_dates: 09-15", "aep_dates", "09-15"),
    ("timezone: Mars/Olympus", "timezone", "Mars/Olympus"),
    ("timezone: ../../etc/passwd", "timezone", "passwd"),
    ("send_time: 24:00:00", "send_time", "24:00:00"),
    ("send_time: 08:30", "send_time", "08:30"),
    ("cadence: hourly", "cadence", "hourly"),
    ("run_at_hour: 24", "run_at_hour", "24"),
    ("sync: none", "sync", "none"),
    ("priorities: {birtday: 1}", "priorities.birtday", "1"),
    ("templates: {birtday: {email: x}}", "templates", "birtday"),
    ("states: {ZZ: []}", "states", "ZZ"),
    ("states: {CA: [{kind: birthday, before: 1}]}", "states.CA.0", "before"),
    ("states: {CA: [{kind: sometimes}]}", "states.CA.0.kind", "sometimes"),
    ("states: {CA: [{kind: birthday, before: 0, after: 1, valid_to: 2025-02-29}]}", "valid_to", "2025-02-29"),
    ("send_time: '08:30:00'\nsend_time: '09:30:00'", "send_time", "twice"),
    ("states: {CA: [], CA: []}", "'CA'", "twice"),
    ("a: &x [1, 2]\nb: *x", "alias", "*x"),
    ("1: 2", "unknown key", "1"),
    ("[1]", "mapping", "[1]"),
    ("states: {", "not YAML", "line 2"),
    ("a: !!python/object/apply:os.system [ls]", "not YAML", "line 1"),
    ("a: " + "[" * 40 + "]" * 40, "more than 32 deep", ""),
    ("a: " + "9" * 5000, "number", "5000"),
    ("#" * (MAX_SIZE_BYTES + 1), "bytes long", str(MAX_SIZE_BYTES + 1)),
    ("a: \x00", "not YAML", "control characters"),
]


@pytest.mark.parametrize(("text", "key", "value"), REFUSED, ids=[text[:40] for text, _, _ in REFUSED])
def test_one_sentence_names_the_key_and_the_value(text: str, key: str, value: str) -> None:
    with pytest.raises(RulesError) as caught:
        load_rules(text)
    message = str(caught.value)
    assert key in message
    assert value in message
    assert message.startswith("The rules file ")
    assert message.endswith(".")
    assert "\n" not in message


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(RulesError, match="alias"):
        load_rules("\n".join(lines))


def test_the_digest_is_that_of_the_effective_values() -> None:
    default = load_rules()
    assert load_rules("daily_cap_fraction: 0.070 # the same\n").sha256 == default.sha256
    assert load_rules("daily_cap_fraction: 0.0700001").sha256 != default.sha256
    assert load_rules("cadence: weekly\nrun_at_hour: 3").sha256 == load_rules("run_at_hour: 3\ncadence: weekly").sha256
    assert len(default.sha256) == 64


def test_every_key_of_the_model_is_set_in_the_packaged_file() -> None:
    assert set(yaml.safe_load(packaged_rules("default"))) == {field.name for field in fields(Rules)}


@pytest.mark.parametrize("name", PACKAGED)
def test_the_packaged_rules_are_those_of_their_file(name: str) -> None:
    parsed = load_rules(packaged_rules(name))
    assert load_packaged(name) == parsed
    assert load_packaged(name).sha256 == parsed.sha256
    assert json_path(name).read_text(encoding="utf-8") == json_text(name), (
        "run: python -m mailtide.rules.build_packaged_rules"
    )


@pytest.mark.parametrize("name", ["Window", "Priorities", "Templates", "Rules"])
def test_a_file_may_say_what_the_rules_know(name: str) -> None:
    model = rules_file.RulesFile if name == "Rules" else getattr(rules_file, name)
    known = {field.name: field.default for field in fields(getattr(config, name))}
    said = {key: MISSING if field.is_required() else field.default for key, field in model.model_fields.items()}
    assert said == known


def test_the_rules_file_is_read_without_numpy() -> None:
    code = "import sys; from mailtide.rules.config import load_rules; load_rules(); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_no_other_packaged_rules() -> None:
    with pytest.raises(RulesError, match="'newest'"):
        packaged_rules("newest")


def test_the_packaged_files_lie_in_the_package() -> None:
    folder = Path(sys.modules[Rules.__module__].__file__ or "").parent / "data"
    assert {path.name for path in folder.glob("*.yaml")} == {"default.yaml", "origin.yaml"}
