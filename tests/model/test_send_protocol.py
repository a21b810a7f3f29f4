"""At most one accepted mail a send id, never over a limit: in every state, and every broken rule is found out."""

import pytest

from tests.model.send_protocol import MUTATIONS, Mutation, explore


def test_no_state_breaks_an_invariant() -> None:
    explored = explore()
    assert explored.violation is None, explored.violation
    assert explored.states >= 100_000


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_broken_rule_is_found(mutation: Mutation) -> None:
    explored = explore(mutation)
    assert explored.violation is not None
