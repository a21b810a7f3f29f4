"""The totals of several processes are those of one."""

from collections import Counter

from tests.chaos.totals import Totals


def test_totals_of_processes_are_added_up() -> None:
    one = Totals(scenarios=2, machines=3, ended=Counter(published=2), struck=Counter(slow=1), findings=["seed 1: a"])
    two = Totals(
        scenarios=1, uploads=4, ended=Counter(failed=1), struck=Counter(slow=2, hang=1), findings=["seed 2: b"]
    )
    line = sum((Totals.model_validate_json(part.model_dump_json()) for part in (one, two)), Totals()).line()
    assert line == (
        "chaos: 3 scenarios, 0 organisations, 4 uploads, 3 machines; 4 faults struck (hang 1, slow 3); "
        "runs: 2 published, 1 failed, 0 superseded; 0 dead letters; 2 findings"
    )
