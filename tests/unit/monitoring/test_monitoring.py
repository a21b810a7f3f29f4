"""Prometheus' rules and the dashboard: parsed as Prometheus would, and about metrics that the API really exports."""

import json
import operator
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, ConfigDict

from mailtide.warmup.contracts import day_start_ms
from mailtide.warmup.metrics import GAUGES, WarmupMetrics, prometheus_text
from mailtide.warmup.objects import QuotaCounts
from mailtide.warmup.placement_metrics import PLACEMENT_GAUGES, placement_text
from mailtide.warmup.reading.record import Landed
from mailtide.warmup.reading.shown import Placed, PlacementReport, by_provider

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "monitoring" / "prometheus" / "warmup.rules.yaml"
TESTS = ROOT / "monitoring" / "prometheus" / "warmup.rules.test.yaml"
SCRAPE = ROOT / "monitoring" / "prometheus" / "scrape.yaml"
DASHBOARD: dict[str, Any] = json.loads((ROOT / "monitoring" / "grafana" / "warmup.json").read_text())
GOOD = WarmupMetrics(
    day=date(2026, 11, 22),
    at_ms=0,
    total_mailboxes=100_000,
    active_mailboxes=99_000,
    planned_today=3_000_000,
    expected_by_now=1_000_000.0,
    emails_sent_today=1_000_000,
    emails_failed_today=10,
    failed_share=0.1,
    emails_unknown_today=0,
    in_flight=0,
    throughput_per_hour=125_000.0,
    quota_completion_rate=0.3,
    quota_completion_rate_yesterday=0.95,
    queue_depth=5,
    oldest_message_age_seconds=600.0,
    dead_letters=0,
    limit_per_hour=150_000,
    tick_seconds=600,
    limit_share=0.8,
    as_of_ms=0,
    figures_age_seconds=1_200.0,
    shards_stale=0,
    size_threshold_crossed=0,
    system_health="healthy",
    quota=QuotaCounts(on_track=100_000),
    shards_reporting=100,
    shards=100,
    pairing="",
    warnings=(),
)
"""Every value just on the good side of its alarm."""
BAD: dict[str, dict[str, object]] = {
    "WarmupUnhealthy": {"system_health": "degraded"},
    "WarmupFailures": {"failed_share": 0.11},
    "WarmupQueueOld": {"oldest_message_age_seconds": 601.0},
    "WarmupDeadLetters": {"dead_letters": 1},
    "WarmupQuotaMissed": {"quota_completion_rate_yesterday": 0.94},
    "WarmupNearLimits": {"limit_share": 0.81},
    "WarmupStale": {"figures_age_seconds": 1_201.0},
    "WarmupPoolGrown": {"size_threshold_crossed": 500},
}
PLACED = PlacementReport(
    day=date(2026, 11, 21),
    user_id=None,
    mailboxes=100_000,
    total=Placed(inbox=70, junk=20, missing=10, share=0.7, low=0.6, high=0.8),
    providers=by_provider({"google": Landed(70, 20, 10)}),
    bounces=1,
    complaints=0,
    slowed=2,
    quarantined=1,
    graduated=40,
    withheld=0,
    spared=0,
    history=(),
    held=(),
    held_total=0,
    unread=(),
    unread_total=0,
    warnings=(),
)
NOW_S = (day_start_ms(date(2026, 11, 22)) + 36 * 3_600_000) / 1000
"""When the last fold is as old as it may be."""
BAD_PLACED: dict[str, dict[str, object]] = {
    "WarmupPlacementLow": {"total": PLACED.total.model_copy(update={"share": 0.69})},
    "WarmupFoldLate": {"day": date(2026, 11, 20)},
}
HELD = {"WarmupUnhealthy": "15m", "WarmupFailures": "30m", "WarmupSilent": "30m"}
OPERATORS: dict[str, Callable[[float, float], float]] = {"*": operator.mul, "-": operator.sub}
COMPARE = {"<": operator.lt, ">": operator.gt}


class Rule(BaseModel):
    """What Prometheus takes for an alerting rule."""

    model_config = ConfigDict(extra="forbid")

    alert: str
    expr: str
    for_: str | None = None
    labels: dict[str, str]
    annotations: dict[str, str]


def rules() -> dict[str, Rule]:
    content = yaml.safe_load(RULES.read_text())
    assert content.keys() == {"groups"}
    (group,) = content["groups"]
    assert group.keys() == {"name", "rules"}
    renamed = [{"for_" if name == "for" else name: value for name, value in rule.items()} for rule in group["rules"]]
    found = [Rule.model_validate(rule) for rule in renamed]
    return {rule.alert: rule for rule in found}


def exported(metrics: WarmupMetrics, placed: PlacementReport = PLACED) -> dict[str, float]:
    families = text_string_to_metric_families((prometheus_text(metrics) + placement_text(placed)).decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


NAMES = exported(GOOD).keys()


def selectors(expression: object) -> Iterator[promql_parser.VectorSelector]:
    """Every selector of a parsed expression."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for name in ("lhs", "rhs", "expr", "vector_selector"):
        yield from selectors(getattr(expression, name, None)) if hasattr(expression, name) else ()
    for argument in getattr(expression, "args", []):
        yield from selectors(argument)


def fires(rule: Rule, metrics: WarmupMetrics, placed: PlacementReport = PLACED) -> bool:
    """What the comparison of a rule says of the exported values."""
    values = exported(metrics, placed)
    tree = promql_parser.parse(rule.expr)
    assert isinstance(tree, promql_parser.BinaryExpr)

    def value(side: object) -> float:
        if isinstance(side, promql_parser.NumberLiteral):
            return float(side.val)
        if isinstance(side, promql_parser.BinaryExpr):
            return OPERATORS[str(side.op)](value(side.lhs), value(side.rhs))
        if isinstance(side, promql_parser.Call):
            assert side.func.name == "time"
            return NOW_S
        assert isinstance(side, promql_parser.VectorSelector)
        assert side.name is not None
        return values[side.name]

    return bool(COMPARE[str(tree.op)](value(tree.lhs), value(tree.rhs)))


def test_there_is_a_rule_for_every_alarm_and_no_more() -> None:
    found = rules()
    assert found.keys() == {*BAD, *BAD_PLACED, "WarmupSilent"}
    assert {name: rule.for_ for name, rule in found.items() if rule.for_} == HELD
    for rule in found.values():
        assert rule.labels["severity"] in {"warning", "critical"}
        assert rule.annotations["summary"].endswith(".")


@pytest.mark.parametrize("alert", BAD)
def test_a_rule_fires_beyond_its_threshold_and_not_at_it(alert: str) -> None:
    rule = rules()[alert]
    assert not fires(rule, GOOD)
    assert fires(rule, GOOD.model_copy(update=BAD[alert]))


@pytest.mark.parametrize("alert", BAD_PLACED)
def test_a_rule_about_placement_fires_beyond_its_threshold_and_not_at_it(alert: str) -> None:
    rule = rules()[alert]
    assert not fires(rule, GOOD)
    assert fires(rule, GOOD, PLACED.model_copy(update=BAD_PLACED[alert]))


def test_before_the_first_fold_nothing_is_exported_of_placement() -> None:
    assert placement_text(PLACED.model_copy(update={"day": None})) == b""
    unseen = PLACED.total.model_copy(update={"share": None})
    assert "warmup_placement_inbox_rate" not in exported(GOOD, PLACED.model_copy(update={"total": unseen}))


def expressions() -> list[str]:
    of_panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [*(rule.expr for rule in rules().values()), *of_panels]


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_an_expression_is_promql_about_metrics_that_are_exported(expression: str) -> None:
    found = list(selectors(promql_parser.parse(expression)))
    assert found
    assert {selector.name for selector in found} <= NAMES
    for selector in found:
        assert {matcher.name for matcher in selector.matchers.matchers} <= {"status", "verdict"}


def test_the_dashboard_shows_every_gauge() -> None:
    shown = {selector.name for expression in expressions() for selector in selectors(promql_parser.parse(expression))}
    assert shown == NAMES
    assert {f"warmup_{name}" for name in GAUGES} <= shown


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    assert DASHBOARD["schemaVersion"] >= 39
    assert "id" not in DASHBOARD
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["type"] in {"stat", "gauge", "timeseries"}
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_no_legend_or_annotation_names_anybody() -> None:
    text = RULES.read_text() + json.dumps(DASHBOARD)
    assert set(re.findall(r"\{\{\s*([^}]+?)\s*\}\}", text)) <= {
        "status",
        "provider",
        "state",
        "measure",
        "$value",
        "$value | humanizePercentage",
        "$value | humanizeDuration",
    }


def test_the_scrape_asks_what_the_api_answers() -> None:
    (job,) = yaml.safe_load(SCRAPE.read_text())["scrape_configs"]
    assert (job["metrics_path"], job["params"]) == ("/api/warmup/metrics", {"format": ["prometheus"]})
    assert job["authorization"]["type"] == "Bearer"


def test_the_page_explains_every_gauge_and_every_alarm() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    for name, meaning in GAUGES.items():
        assert f"| `warmup_{name}` | {meaning} |" in page
    for name, (meaning, _) in PLACEMENT_GAUGES.items():
        assert f"| `warmup_{name}` | {meaning} |" in page
    for alert in rules():
        assert f"| {alert} |" in page


def test_promtool_agrees_where_there_is_one() -> None:
    """The rules have tests of their own for it; without it the parser above has to do."""
    assert {test["name"] for test in yaml.safe_load(TESTS.read_text())["tests"]}
    promtool = shutil.which("promtool")
    if promtool is None:
        return
    for arguments in (["check", "rules", str(RULES)], ["test", "rules", str(TESTS)]):
        done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
