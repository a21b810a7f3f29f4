"""Breadth-first search through the protocol's states: the promises in each of them, and the way to rest from each of them.

python -m tests.model.exploration --starts 4 --uploads 1 --thefts 1 --limit 2000000
"""

import argparse
import sys
import time
from collections import deque
from dataclasses import dataclass, field

from tests.model.protocol import Protocol
from tests.model.protocol_state import Broken, Process, State, first_state

MAX_ROUNDS = 12


@dataclass
class Exploration:
    """What a search found. complete: whether every reachable state was seen. story: the way to the broken promise."""

    states: int = 0
    transitions: int = 0
    complete: bool = False
    broken: str | None = None
    story: list[State] = field(default_factory=list)


def explore(protocol: Protocol, start: State, *, limit: int) -> Exploration:
    """Search until a promise is broken, all states are seen, or `limit` states are."""
    found = Exploration()
    parents: dict[State, State | None] = {start: None}
    waiting = deque([start])
    rest = Rest(protocol)
    state = start
    try:
        while waiting and len(parents) < limit:
            state = waiting.popleft()
            rest.check(state)
            for after in protocol.successors(state):
                found.transitions += 1
                if after not in parents:
                    parents[after] = state
                    waiting.append(after)
    except Broken as error:
        found.broken = str(error)
        found.story = _story(parents, state)
    found.states = len(parents)
    found.complete = not waiting and found.broken is None
    return found


def _story(parents: dict[State, State | None], state: State) -> list[State]:
    story = [state]
    while (before := parents[story[-1]]) is not None:
        story.append(before)
    return story[::-1]


class Rest:
    """The watcher alone, with nothing going wrong any more, brings every state to rest, and the rest is right."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._fine: set[State] = set()

    def check(self, state: State) -> None:
        """Broken when the state never comes to rest, or to a wrong one."""
        state = _alone(state)
        passed: list[State] = []
        for _ in range(MAX_ROUNDS):
            if state in self._fine:
                break
            passed.append(state)
            after = self._round(state)
            if after == state:
                _check_rest(self.protocol, state)
                break
            state = after
        else:
            raise Broken("it never comes to rest")
        self._fine.update(passed)

    def _round(self, state: State) -> State:
        """One look of the watcher: every open run is brought on, then the source, the intent and the lock are looked at."""
        for number, run in enumerate(state.runs):
            if run.marker and run.planned and run.result is None and run.done is None:
                failed_before = any(other.source == run.source and other.done == "failed" for other in state.runs)
                result = "failure" if failed_before or run.rejected else "output"
                runs = (*state.runs[:number], run._replace(result=result), *state.runs[number + 1 :])
                state = state._replace(runs=runs)
            elif run.marker:
                ready = run.done is not None or run.result is not None
                state = self._run(state, Process("finish" if ready else "plan: before", number))
        if state.latest.intent is not None:
            state = self._run(state, Process("watch", -1))
        state = self._run(state, Process("plan: source", -1))
        if state.owner is not None and state.runs[state.owner].done is not None:
            state = state._replace(owner=None)
        return _alone(state)

    def _run(self, state: State, process: Process) -> State:
        """One call from beginning to end, undisturbed."""
        state = state._replace(processes=(process,))
        while (running := state.processes[0]) is not None:
            state = next(self.protocol.step(state, 0, running))
        return state


def _alone(state: State) -> State:
    return state._replace(
        latest=state.latest._replace(etag=0), processes=(None,), starts=0, customer=0, thefts=0, timers=0, cancels=0
    )


def _check_rest(protocol: Protocol, state: State) -> None:
    if any(run.marker for run in state.runs):
        raise Broken("a marker stands for ever")
    if state.latest.intent is not None or state.owner is not None:
        raise Broken("an intent or a lock is left for ever")
    if any(run.planned and run.done is None for run in state.runs):
        raise Broken("a planned run has no ending")
    if not protocol.handled(state, state.latest, state.source):
        raise Broken("the database that stands is never handled")
    _check_standing(state)


def _check_standing(state: State) -> None:
    """A schedule that stands was published by a run that says so; an upload that stands has one ending of its own."""
    content = state.source[0]
    if ">" in content and state.runs[int(content.rsplit(">", 1)[1])].done != "published":
        raise Broken("a schedule stands published, and its run says something else")
    if ">" in content or content == state.latest.published:
        return
    endings = [
        run.done for run in state.runs if run.source == state.source and not run.timer and run.done != "superseded"
    ]
    was_restored = state.source[1] < state.writes
    if not endings or (len(endings) > 1 and not was_restored):
        raise Broken(f"the upload that stands has the endings {endings}")


def main() -> int:
    """Explore with the given budgets; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description="Explore the protocol of runs.")
    for name, default in {
        "starts": 4,
        "uploads": 1,
        "thefts": 1,
        "timers": 1,
        "cancels": 0,
        "limit": 1_000_000,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--mutation", default="")
    given = parser.parse_args()
    names = ("starts", "uploads", "thefts", "timers", "cancels")
    start = first_state(**{name: getattr(given, name) for name in names})
    began_s = time.monotonic()
    found = explore(Protocol(given.mutation), start, limit=given.limit)
    seen = "all" if found.complete else "not all"
    print(f"{found.states} states ({seen}), {found.transitions} transitions, {time.monotonic() - began_s:.1f} s")
    if found.broken:
        print(f"broken: {found.broken}")
        for number, state in enumerate(found.story):
            print(number, *(f"  {name}={value}" for name, value in state._asdict().items()), sep="\n")
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())
