"""What the model of tests/model/protocol.py is a state of, and what one request changes of it."""

from collections.abc import Iterator
from typing import NamedTuple

type Content = str
"""Of an object: a customer's, or "A>0" for what run 0 computed from "A". Equal content has equal ETags."""
type Version = tuple[Content, int]
"""Content, and when it was written."""


class Latest(NamedTuple):
    """latest.json. etag: a number that no two writes share."""

    etag: int = 0
    handled: Version | None = None
    run: int | None = None
    status: str | None = None
    published: Content | None = None
    intent: tuple[int, int] | None = None
    """Run and upload id."""


class Run(NamedTuple):
    """A run's objects. published: whether its output ever stood over the source."""

    source: Version
    timer: bool
    marker: bool = False
    planned: bool = False
    result: str | None = None
    done: str | None = None
    published: bool = False
    rejected: bool = False
    """Its plan says that it launches nothing: it was cancelled before it had one."""


class Process(NamedTuple):
    """One call at work.

    seen: latest.json as it read it. upload: the one it staged or settles. back: where it goes on after settling.
    """

    at: str
    run: int
    seen: Latest | None = None
    upload: int = -1
    source: Version | None = None
    ending: str = ""
    back: str = ""
    rounds: int = 0
    writes: int = 0
    """Of the source, when the lock was taken."""


class State(NamedTuple):
    """Everything. uploads: (run, state) by id; state is open, aborted or completed."""

    source: Version
    writes: int
    """Of the source: the date of the last."""
    latest: Latest
    owner: int | None
    runs: tuple[Run, ...]
    uploads: tuple[tuple[int, str], ...]
    processes: tuple[Process | None, ...]
    starts: int
    customer: int
    thefts: int
    timers: int
    cancels: int = 0


class Broken(AssertionError):  # noqa: N818 - the word of the field
    """A promise is broken."""


def first_state(
    *, processes: int = 2, starts: int = 4, uploads: int = 2, thefts: int = 1, timers: int = 1, cancels: int = 0
) -> State:
    """The customer's first upload stands; nothing else does."""
    return State(("A", 1), 1, Latest(), None, (), (), (None,) * processes, starts, uploads, thefts, timers, cancels)


def finishing_state(*, processes: int = 2, starts: int = 2, uploads: int = 2, timers: int = 0) -> State:
    """The customer's first upload is planned, and its machine has delivered."""
    state = first_state(processes=processes, starts=starts, uploads=uploads, thefts=0, timers=timers)
    run = Run(state.source, timer=False, marker=True, planned=True, result="output")
    return state._replace(runs=(run,), owner=0)


def output(run: int, source: Version) -> Content:
    """What a run computes."""
    return f"{source[0]}>{run}"


def expected_output(state: State, latest: Latest) -> Content | None:
    """What the intent's upload will make of the source."""
    if latest.intent is None:
        return None
    number = latest.intent[0]
    return output(number, state.runs[number].source)


def with_process(state: State, slot: int, process: Process | None) -> State:
    return state._replace(processes=(*state.processes[:slot], process, *state.processes[slot + 1 :]))


def with_run(state: State, number: int, **changes: object) -> State:
    run = state.runs[number]._replace(**changes)  # type: ignore[arg-type]  # checked by the tuple's own names
    return state._replace(runs=(*state.runs[:number], run, *state.runs[number + 1 :]))


def write_latest(state: State, p: Process, wanted: Latest) -> State | None:
    """latest.json, conditionally; None when somebody else was first."""
    assert p.seen is not None
    if state.latest.etag != p.seen.etag:
        return None
    return state._replace(latest=wanted._replace(etag=state.latest.etag + 1))


def take_lock(state: State, run: int) -> Iterator[State]:
    """With the lock taken, if it can be; an expired one is there for the taking."""
    owner = state.owner
    if owner is None or owner == run or state.runs[owner].done is not None:
        yield state._replace(owner=run)
    elif state.thefts:
        yield state._replace(owner=run, thefts=state.thefts - 1)


def release_lock(state: State, run: int) -> State:
    return state._replace(owner=None) if state.owner == run else state


def with_upload(state: State, upload: int, kind: str) -> tuple[tuple[int, str], ...]:
    run = state.uploads[upload][0]
    return (*state.uploads[:upload], (run, kind), *state.uploads[upload + 1 :])


def abort(state: State, upload: int) -> State:
    if state.uploads[upload][1] != "open":
        return state
    return state._replace(uploads=with_upload(state, upload, "aborted"))


def is_superseding(p: Process | None) -> bool:
    """Whether a process has seen that its version is gone, and has not yet written so."""
    steps = {"plan: supersede", "finish: replaced?", "finish: fence"}
    return p is not None and (p.at in steps or (p.at == "finish: done" and p.ending == "superseded"))
