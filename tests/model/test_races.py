"""The real use cases: a process stands still before one of its port calls while a whole story happens.

Each story takes every second call, one story the odd ones and the next the even ones; a thorough run takes all of them.
"""

import pytest

from tests.model.simulation.intruders import BEGINNINGS, STORIES, cases, play
from tests.model.simulation.steps import Fault
from tests.model.thorough import THOROUGH

WAKES = (Fault.NONE, Fault.CRASH_BEFORE) if THOROUGH else (Fault.NONE,)


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("beginning", [name for name in BEGINNINGS if name != "in chunks"])
def test_a_process_that_sleeps_through_a_story(beginning: str, story: str) -> None:
    played = 0
    first, stride = (0, 1) if THOROUGH else (list(STORIES).index(story) % 2, 2)
    for case in cases(beginning, story, wakes=WAKES, first=first, stride=stride):
        play(case)
        played += 1
    assert played > 20
