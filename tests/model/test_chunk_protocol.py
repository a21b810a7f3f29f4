"""The model of chunks and merge keeps every promise in every state, and a model with one rule less does not."""

import pytest

from tests.model.chunk_protocol import MUTATIONS, Protocol, State, delivered_state, explore, first_state
from tests.model.thorough import THOROUGH

LIMIT = 3_000_000
WORLDS: dict[str, tuple[State, set[str]]] = {
    "two chunks from the beginning": (first_state(), {"", "output"}),
    "two chunks have delivered": (delivered_state(bad=False), {"", "output"}),
    "one has delivered what nobody can use": (delivered_state(bad=True, starts=6, faults=1), {"", "output", "failure"}),
}
if THOROUGH:
    WORLDS |= {
        "more deaths": (first_state(starts=6, faults=2), {"", "output", "failure"}),
        "more calls": (delivered_state(bad=False, starts=7, faults=2), {"", "output", "failure"}),
    }


STARTS: dict[str, State] = {
    "a part stands, and nobody goes on": delivered_state(bad=False),
    "a bad part is a reason to wait": delivered_state(bad=True),
    "tries are not counted": delivered_state(bad=True),
}
"""Where a mutation shows that does not from the beginning."""


@pytest.mark.parametrize("world", WORLDS)
def test_every_state_keeps_the_promises_and_comes_to_a_result(world: str) -> None:
    start, results = WORLDS[world]
    found = explore(Protocol(), start, limit=LIMIT)
    assert found.broken is None
    assert found.complete
    assert found.states > 5_000
    assert found.results == results


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_protocol_that_breaks_a_rule_is_found_out(mutation: str) -> None:
    found = explore(Protocol(mutation), STARTS.get(mutation, first_state()), limit=LIMIT)
    assert found.broken is not None
