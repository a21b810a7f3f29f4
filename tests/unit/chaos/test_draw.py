"""What the seeds of the fault suite draw."""

from collections import Counter

import pytest

from tests.chaos.__main__ import parse_seeds
from tests.chaos.draw import DEEDS, draw
from tests.chaos.rules import Rule, RuleBook, Seen

SEEDS = range(1, 201)


def test_a_seed_draws_the_same_scenario_again() -> None:
    assert [draw(seed) for seed in SEEDS] == [draw(seed) for seed in SEEDS]
    assert len({str(draw(seed)) for seed in SEEDS}) == len(SEEDS)


def test_two_hundred_seeds_draw_every_fault_there_is() -> None:
    scenarios = [draw(seed) for seed in SEEDS]
    rules = Counter(rule.kind for scenario in scenarios for rule in scenario.rules)
    assert set(rules) == set(Rule.__annotations__["kind"].__value__.__args__)
    assert {rule.deed for scenario in scenarios for rule in scenario.rules} == {"", *DEEDS}
    fly = {fault.kind for scenario in scenarios for fault in scenario.fly}
    assert fly == {
        *("rate_limited", "server_error", "time_out", "dropped", "not_found", "unauthorized", "no_capacity"),
        *(
            "crash_on_boot",
            "exit_code",
            "out_of_memory",
            "kill",
            "hang",
            "vanish",
            "slow_boot",
            "hidden",
            "memory_limit",
        ),
    }
    assert {scenario.family for scenario in scenarios} == {"mixed", "silent", "clock"}
    assert {len(scenario.scripts) for scenario in scenarios} == {2, 3, 4}
    assert any(script.at_once > 1 for scenario in scenarios for script in scenario.scripts)


def test_in_silent_scenarios_nobody_sends_a_message_but_the_watcher() -> None:
    silent = [scenario for scenario in map(draw, SEEDS) if scenario.family == "silent"]
    assert len(silent) >= 20
    assert all(s.lost_for_s is None and len(s.lost) == 3 and not s.storm for s in silent)


@pytest.mark.parametrize(("text", "seeds"), [("17", [17]), ("1-3", [1, 2, 3]), ("2,5-6", [2, 5, 6])])
def test_seeds_are_a_range_or_a_list(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "x", "3-1", "1-"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_seeds(text)


def _seen(name: str, method: str = "PUT", *, if_match: bool = False) -> Seen:
    return Seen("plan", method, name, f"/bucket/{name}".encode(), if_match=if_match)


def test_a_rule_strikes_the_requests_that_it_names() -> None:
    book = RuleBook()
    rule = Rule("500", "plan", "c1-a", "effect", nth=2, times=2)
    book.arm(rule)
    own = _seen("orgs/c1-a/lock.json")
    asked = [own, _seen("orgs/c11-a/lock.json"), _seen("orgs/c1-a/lock.json", "GET"), own, own, own]
    assert [book.judge(seen) for seen in asked] == [None, None, None, rule, rule, None]
    book.disarm()
    assert book.judge(own) is None


def test_fenced_are_the_two_objects_that_are_replaced() -> None:
    assert _seen("orgs/a/lock.json", if_match=True).fits("fenced")
    assert _seen("orgs/a/latest.json", if_match=True).fits("fenced")
    assert not _seen("orgs/a/latest.json").fits("fenced")
    assert not _seen("runs/a/b/plan.json", if_match=True).fits("fenced")


def test_manifests_are_told_by_their_task() -> None:
    chunk, merge, whole = (_seen(f"runs/a/b/tasks/{task}/1/manifest.json") for task in ("chunk-0001", "merge", "whole"))
    assert [seen.fits("manifest") for seen in (chunk, merge, whole)] == [True, True, True]
    assert [seen.fits("chunk manifest") for seen in (chunk, merge, whole)] == [True, False, False]
    assert [seen.fits("schedule manifest") for seen in (chunk, merge, whole)] == [False, True, True]


def test_garbage_with_a_fitting_manifest_is_certain_in_some_seeds() -> None:
    """Of an organisation whose first upload is good, and on which nothing that is certain but this is brought to bear."""
    struck = [scenario for scenario in map(draw, SEEDS) if any(r.kind == "garbage database" for r in scenario.rules)]
    assert len(struck) >= 20
    assert all(scenario.scripts[0].uploads[0].quality == "good" for scenario in struck)
