"""The model keeps every promise in every state, and a model with one rule less does not."""

import pytest

from tests.model.exploration import explore
from tests.model.protocol import MUTATIONS, Protocol
from tests.model.protocol_state import State, finishing_state, first_state
from tests.model.thorough import THOROUGH

LIMIT = 2_000_000
WORLDS = {
    "a new upload, a timer run, a stolen lock": first_state(starts=3, uploads=1, thefts=1, timers=1),
    "two calls finish while the customer uploads": finishing_state(starts=2, uploads=2),
    "a run is cancelled while two calls are at work": first_state(starts=2, uploads=1, thefts=1, timers=0, cancels=1),
}
if THOROUGH:
    WORLDS |= {
        "two uploads, one of them perhaps restored": first_state(starts=3, uploads=2, thefts=0, timers=0),
        "three calls finish while the customer uploads": finishing_state(starts=3, uploads=2),
        "a run is cancelled while three calls are at work": first_state(
            starts=3, uploads=1, thefts=0, timers=1, cancels=1
        ),
        "more of everything": first_state(starts=4, uploads=1, thefts=1, timers=1),
    }


@pytest.mark.parametrize("world", WORLDS)
def test_every_state_keeps_the_promises_and_comes_to_rest(world: str) -> None:
    found = explore(Protocol(), WORLDS[world], limit=LIMIT)
    assert found.broken is None
    assert found.complete
    assert found.states > 20_000


def starts_of(mutation: str) -> State:
    """The smallest world in which the broken rule shows."""
    if mutation in {"settles without aborting", "forgets to look for done.json"}:
        return finishing_state(starts=2, uploads=2)
    if mutation == "a cancellation ends the run itself":
        return WORLDS["a run is cancelled while two calls are at work"]
    return WORLDS["a new upload, a timer run, a stolen lock"]


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_protocol_that_breaks_a_rule_is_found_out(mutation: str) -> None:
    found = explore(Protocol(mutation), starts_of(mutation), limit=LIMIT)
    assert found.broken is not None
    assert found.story
