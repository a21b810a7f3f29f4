"""Random walks of the real use cases. MAILTIDE_TEST_WALKS is how many (400), MAILTIDE_TEST_SEED the first seed (0)."""

import os
from collections import Counter

import pytest

from tests.model.simulation.walk import Walk

WALKS = int(os.environ.get("MAILTIDE_TEST_WALKS", "400"))
FIRST_SEED = int(os.environ.get("MAILTIDE_TEST_SEED", "0"))
BATCHES = 8


USUAL = {"planned", "launched", "collected", "finished", "rejected", "next_try", "gave_up", "waits_for_lock"}
RARER = {
    "finished_tail",
    "queued_plan",
    "queued_finish",
    "queued_collect",
    "already_handled",
    "changed_while_locking",
}


@pytest.mark.parametrize("batch", range(BATCHES))
def test_walks(batch: int) -> None:
    """The walks are worth something as well: what may happen to a run does happen in each batch of fifty."""
    seen = Counter[str]()
    seeds = range(FIRST_SEED + batch, FIRST_SEED + WALKS, BATCHES)
    for seed in seeds:
        walk = Walk(seed)
        try:
            walk.run()
        except AssertionError as error:
            story = "\n".join(walk.world.log[-200:])
            raise AssertionError(f"seed {seed}: {error}\n{story}") from error
        seen.update(walk.world.actions)
    assert len(seeds) < 50 or seen.keys() >= USUAL | RARER
