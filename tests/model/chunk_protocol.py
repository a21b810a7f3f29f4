"""Chunks and their merge as a small state space, explored breadth-first: every order of every request of two calls at a time.

One planned run of two chunks. A call is one message at work, one request a step; it may die between any two. Messages that were
sent may arrive at any time, in any order, any number of times within a budget, or never. Machines deliver, deliver what nobody
can use, fail, or die without a word. Left out: all before plan.json and after result.json (tests/model/protocol.py), time, and
candidates of which only the merge can tell that they are bad: it does without them, so for the protocol they are good.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

CHUNKS = ("c1", "c2")
MERGE = "merge"
TASKS = (*CHUNKS, MERGE)
MAX_TRIES = 2
MAX_ROUNDS = 40
MUTATIONS = (
    "nobody looks whether all parts stand",
    "a part stands, and nobody goes on",
    "the watcher knows nothing of merges",
    "the watcher stops at the first chunk",
    "a failed try is tried again as it was",
    "tries are not counted",
    "a bad part counts",
    "a bad part is a reason to wait",
)
"""Rules that a protocol may break, to show that the search would see it."""

type Try = tuple[str, int]
type Message = tuple[str, str, int]
"""launch or collect, task, try."""


class Call(NamedTuple):
    """A message at work. at: the request that comes next. left: chunks whose part is still to be read."""

    message: Message
    at: str
    left: tuple[str, ...] = ()


class State(NamedTuple):
    """machines: by (task, try): live, dead, good, bad or failed. recorded: tries with launch.json. parts: by task, the try."""

    sent: frozenset[Message]
    machines: tuple[tuple[Try, str], ...] = ()
    recorded: frozenset[Try] = frozenset()
    parts: tuple[tuple[str, int], ...] = ()
    result: str = ""
    calls: tuple[Call | None, ...] = (None, None)
    starts: int = 6
    faults: int = 1


class Broken(AssertionError):  # noqa: N818 - the word of the field
    """A promise is broken."""


def first_state(*, starts: int = 6, faults: int = 1) -> State:
    """The plan stands, and the launches of its chunks are queued."""
    return State(frozenset(("launch", chunk, 1) for chunk in CHUNKS), starts=starts, faults=faults)


def delivered_state(*, bad: bool, starts: int = 5, faults: int = 2) -> State:
    """Both chunks have delivered, the second one something that nobody can use if `bad`; no call has looked."""
    machines: tuple[tuple[Try, str], ...] = ((("c1", 1), "good"), (("c2", 1), "bad" if bad else "good"))
    tries = [own for own, _ in machines]
    state = State(frozenset(("collect", *own) for own in tries), starts=starts, faults=faults)
    return state._replace(machines=machines, recorded=frozenset(tries))


class Protocol:
    """The transitions. mutation: a rule that this protocol breaks, by one of MUTATIONS."""

    def __init__(self, mutation: str = "") -> None:
        assert mutation in {"", *MUTATIONS}
        self.mutation = mutation

    def successors(self, state: State) -> Iterator[State]:
        """Every state that one request, one arrival, one death or one end of a machine leads to."""
        yield from self._machines(state)
        for slot, call in enumerate(state.calls):
            if call is not None:
                yield self.step(state, slot, call)
                if state.faults:
                    yield _with_call(state, slot, None)._replace(faults=state.faults - 1)
            elif state.starts and slot == state.calls.index(None):
                for message in sorted(state.sent):
                    yield _with_call(state, slot, Call(message, "look"))._replace(starts=state.starts - 1)

    def _machines(self, state: State) -> Iterator[State]:
        for (task, attempt), kind in state.machines:
            if kind == "live":
                yield _deliver(state, (task, attempt), "good")
                if state.faults:
                    fewer = state._replace(faults=state.faults - 1)
                    yield _deliver(fewer, (task, attempt), "failed")
                    yield _with_machine(fewer, (task, attempt), "dead")
                    if task != MERGE:
                        yield _deliver(fewer, (task, attempt), "bad")

    def step(self, state: State, slot: int, call: Call) -> State:
        """The next request of one call."""
        kind, task, attempt = call.message
        own: Try = (task, attempt)
        return self._launch(state, slot, call, own) if kind == "launch" else self._collect(state, slot, call, own)

    def _launch(self, state: State, slot: int, call: Call, own: Try) -> State:
        task = own[0]
        match call.at:
            case "look":
                return _with_call(state, slot, self._before_launch(state, call, own))
            case "parts":
                if call.left[0] not in dict(state.parts):
                    return _with_call(state, slot, None)
                rest = call.left[1:]
                return _with_call(state, slot, call._replace(at="parts" if rest else "create", left=rest))
            case "create":
                if task == MERGE and len(state.parts) < len(CHUNKS):
                    raise Broken("a merge is launched before its parts stand")
                if _machine(state, own) is None:
                    state = state._replace(machines=(*state.machines, (own, "live")))
                if own[1] > MAX_TRIES:
                    raise Broken("a task has more tries than it may")
                return _with_call(state, slot, call._replace(at="record"))
            case _:
                return _with_call(state, slot, None)._replace(recorded=state.recorded | {own})

    def _before_launch(self, state: State, call: Call, own: Try) -> Call | None:
        settled = state.result or own[0] in dict(state.parts)
        if settled or own in state.recorded or _machine(state, own) in {"good", "bad", "failed"}:
            return None
        if own[0] == MERGE and self.mutation != "nobody looks whether all parts stand":
            return call._replace(at="parts", left=CHUNKS)
        return call._replace(at="create")

    def _collect(self, state: State, slot: int, call: Call, own: Try) -> State:
        task = own[0]
        match call.at:
            case "look":
                return _with_call(state, slot, self._after_look(state, call, own))
            case "part":
                if task not in dict(state.parts):
                    state = state._replace(parts=(*state.parts, own))
                return _with_call(state, slot, call._replace(at="decide" if task == MERGE else "list"))
            case "list":
                complete = all(chunk in dict(state.parts) for chunk in CHUNKS)
                if complete or self.mutation == "nobody looks whether all parts stand":
                    state = _send(state, ("launch", MERGE, 1))
                return _with_call(state, slot, None)
            case "again":
                return _with_call(self._again(state, own), slot, None)
            case _:
                if task != MERGE:
                    raise Broken("a chunk decides the run")
                return _with_call(state, slot, None)._replace(result=state.result or "output")

    def _after_look(self, state: State, call: Call, own: Try) -> Call | None:
        if state.result:
            return None
        if own[0] in dict(state.parts):
            stops = self.mutation == "a part stands, and nobody goes on"
            return None if stops else call._replace(at="decide" if own[0] == MERGE else "list")
        kind = _machine(state, own)
        if kind == "good" or (kind == "bad" and self.mutation == "a bad part counts"):
            return call._replace(at="part")
        if kind == "bad" and self.mutation == "a bad part is a reason to wait":
            return None
        return call._replace(at="again") if kind in {"bad", "failed"} else None

    def _again(self, state: State, own: Try) -> State:
        """A bad delivery is noted as a failure; the next try, or the end of the run."""
        task, attempt = own
        if _machine(state, own) == "bad":
            state = _with_machine(state, own, "failed")
        if attempt < MAX_TRIES or self.mutation == "tries are not counted":
            same = self.mutation == "a failed try is tried again as it was"
            return _send(state, ("launch", task, attempt if same else attempt + 1))
        return state._replace(result=state.result or "failure")

    def watch(self, state: State) -> tuple[State, list[Message]]:
        """One look of the watcher: what it writes, and what it queues."""
        if state.result:
            return state, []
        parts = dict(state.parts)
        if MERGE in parts:
            return state, [("collect", MERGE, parts[MERGE])]
        waiting = [chunk for chunk in CHUNKS if chunk not in parts]
        if not waiting and self.mutation != "the watcher knows nothing of merges":
            waiting = [MERGE]
        if self.mutation == "the watcher stops at the first chunk":
            waiting = [task for task in waiting if task == CHUNKS[0]]
        queued = []
        for task in waiting:
            state, message = _bring_on(state, task)
            queued += [message] if message else []
        return state, queued


def _bring_on(state: State, task: str) -> tuple[State, Message | None]:
    """What a task without a part waits for. A machine that died without a word gets its error written in its place."""
    tries = [own for own, _ in state.machines if own[0] == task]
    if not tries:
        return state, ("launch", task, 1)
    own = max(tries)
    if own not in state.recorded and _machine(state, own) in {"live", "dead"}:
        return state, ("launch", *own)
    if _machine(state, own) == "dead":
        state = _with_machine(state, own, "failed")
    return state, None if _machine(state, own) == "live" else ("collect", *own)


def _machine(state: State, own: Try) -> str | None:
    return dict(state.machines).get(own)


def _with_machine(state: State, own: Try, kind: str) -> State:
    return state._replace(machines=tuple((key, kind if key == own else was) for key, was in state.machines))


def _deliver(state: State, own: Try, kind: str) -> State:
    """A machine's last object, and its event."""
    return _send(_with_machine(state, own, kind), ("collect", *own))


def _send(state: State, message: Message) -> State:
    return state._replace(sent=state.sent | {message})


def _with_call(state: State, slot: int, call: Call | None) -> State:
    return state._replace(calls=(*state.calls[:slot], call, *state.calls[slot + 1 :]))


class Exploration(NamedTuple):
    """What a search found."""

    states: int
    complete: bool
    broken: str | None
    results: frozenset[str]


def explore(protocol: Protocol, start: State, *, limit: int) -> Exploration:
    """Search until a promise is broken, all states are seen, or `limit` states are."""
    seen = {start}
    waiting = deque([start])
    rest = _Rest(protocol)
    try:
        while waiting and len(seen) < limit:
            state = waiting.popleft()
            rest.check(state)
            for after in protocol.successors(state):
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
    except Broken as error:
        return Exploration(len(seen), complete=False, broken=str(error), results=frozenset())
    return Exploration(len(seen), not waiting, None, frozenset(state.result for state in seen))


class _Rest:
    """The watcher alone, with no event delivered and nothing going wrong any more, brings every state to a result that fits."""

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol
        self._fine: set[State] = set()

    def check(self, state: State) -> None:
        """Broken when no result ever comes, or a wrong one."""
        state = _alone(state)
        passed = []
        for _ in range(MAX_ROUNDS):
            if state in self._fine or state.result:
                break
            passed.append(state)
            state = self._round(state)
        else:
            raise Broken("the run never ends")
        _check_result(state)
        self._fine.update(passed)

    def _round(self, state: State) -> State:
        for own, kind in state.machines:
            if kind == "live" and own in state.recorded:
                state = _with_machine(state, own, "good")
        state, queued = self._protocol.watch(state)
        for message in queued:
            state = self._run(state, message)
        for message in [message for message in sorted(state.sent) if message[0] == "launch"]:
            state = self._run(state, message)
        return _alone(state)

    def _run(self, state: State, message: Message) -> State:
        """One call from beginning to end, undisturbed."""
        state = _with_call(state, 0, Call(message, "look"))
        while (call := state.calls[0]) is not None:
            state = self._protocol.step(state, 0, call)
        return state


def _alone(state: State) -> State:
    return state._replace(sent=frozenset(), calls=(None, None), starts=0, faults=0)


def _check_result(state: State) -> None:
    gave_up = any(attempt == MAX_TRIES and kind == "failed" for (_, attempt), kind in state.machines)
    if state.result == "failure" and not gave_up:
        raise Broken("the run failed, though no task had used up its tries")
    if state.result == "output" and len(state.parts) < len(TASKS):
        raise Broken("the run has an output, though a part is missing")
    if any(_machine(state, part) == "bad" for part in state.parts):
        raise Broken("a part counts that nobody can use")
