"""Races by exhaustion: one process stands still before its k-th port call while a whole story happens; then it goes on.

A process that stands still for longer than its lock holds is the classic danger: it wakes up and believes what was true.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from mailtide.contracts import PlanMessage, TickMessage
from mailtide.errors import InputError
from mailtide.runs import keys
from mailtide.runs.cancel import cancel
from tests.model.simulation.databases import database
from tests.model.simulation.drive import ORG, settle, upload
from tests.model.simulation.invariants import Monitor, at_rest, check_end, check_quiet
from tests.model.simulation.machine import Behaviour
from tests.model.simulation.steps import Fault
from tests.model.simulation.world import IN_CHUNKS, SETTINGS, Worker, World
from tests.support.memory_bucket import Version

OTHER_DAY = date(2026, 1, 15)


def first_upload(world: World) -> None:
    """The victim works on an upload that nobody has handled."""
    upload(world, 1)


def next_day(world: World) -> None:
    """The victim works on a timer run over a schedule that stands published."""
    upload(world, 1)
    to_rest(world)
    world.clock.advance(28 * 3600)
    world.queues.send(TickMessage())


def failed_before(world: World) -> None:
    """The victim works on a demand over a database whose run has failed."""
    world.behaviour = lambda _: Behaviour.BAD_INPUT
    upload(world, 1)
    to_rest(world)
    world.behaviour = lambda _: Behaviour.WORKS
    world.queues.send(PlanMessage(org=ORG, trigger="demand", request_id="first"))


def _same_message(world: World, victim: Worker) -> None:
    if victim.envelope is not None:
        world.queues.send(victim.envelope.message)


def _nothing(world: World, victim: Worker) -> None:
    del world, victim


def _lock_expires(world: World, victim: Worker) -> None:
    del victim
    world.clock.advance(world.settings.lock_ttl_s + 1)


def _new_upload(world: World, victim: Worker) -> None:
    del victim
    upload(world, 2)


def _same_again(world: World, victim: Worker) -> None:
    del victim
    current = world.current(ORG)
    if current is not None:
        world.clock.advance(2)
        world.bucket.put(keys.source(ORG), current.body)


def _there_and_back(world: World, victim: Worker) -> None:
    """Another version, handled to its end; then the old content again."""
    current = world.current(ORG)
    _new_upload(world, victim)
    to_rest(world)
    if current is not None:
        world.bucket.put(keys.source(ORG), current.body)


def _first_content_again(world: World, victim: Worker) -> None:
    _there_first(world, victim)
    world.bucket.put(keys.source(ORG), database(1))


def _there_first(world: World, victim: Worker) -> None:
    _new_upload(world, victim)
    to_rest(world)


def _deleted(world: World, victim: Worker) -> None:
    del victim
    world.bucket.delete(keys.source(ORG))


def _deleted_and_restored(world: World, victim: Worker) -> None:
    current: Version | None = world.current(ORG)
    _deleted(world, victim)
    to_rest(world)
    if current is not None:
        world.bucket.restore(keys.source(ORG), current)


def _demand(behaviour: Behaviour, as_of: date | None) -> Callable[[World, Worker], None]:
    def story(world: World, victim: Worker) -> None:
        _lock_expires(world, victim)
        world.behaviour = lambda _: behaviour
        world.queues.send(PlanMessage(org=ORG, trigger="demand", as_of=as_of, request_id="intruder"))
        to_rest(world)
        world.behaviour = lambda _: Behaviour.WORKS

    return story


def _cancelled(world: World, victim: Worker) -> None:
    """A person ends whatever is open, and finish_run is called at once, and again when all is at rest."""
    del victim
    for info in list(world.bucket.list(keys.OPEN)):
        cancel_open(world, info.key)
    to_rest(world)


def cancel_open(world: World, marker: str) -> bool:
    """Cancel the run of a marker; False when it was too late for that."""
    _, org, run = marker.split("/")
    try:
        cancel(world.bucket, world.queues, org, run, by="ana", reason="Wrong file", now=world.clock.now())
    except InputError as error:
        world.log.append(f"ana: {error}")
        return False
    world.log.append(f"ana cancels {run} of {org}")
    return True


STORIES: dict[str, Callable[[World, Worker], None]] = {
    "only the watcher": _nothing,
    "the same message again": _same_message,
    "the lock expires": _lock_expires,
    "it is cancelled": _cancelled,
    "a new upload": _new_upload,
    "the same upload again": _same_again,
    "another upload, then the old content": _there_and_back,
    "another upload, then the first content": _first_content_again,
    "the database is deleted": _deleted,
    "deleted, then restored": _deleted_and_restored,
    "a demand for another day": _demand(Behaviour.WORKS, OTHER_DAY),
    "a demand that fails": _demand(Behaviour.BAD_INPUT, None),
    "a demand that finds nothing to change": _demand(Behaviour.UNCHANGED, None),
}
BEGINNINGS: dict[str, Callable[[World], None]] = {
    "first upload": first_upload,
    "next day": next_day,
    "failed before": failed_before,
    "in chunks": first_upload,
}


def to_rest(world: World, rounds: int = 8) -> None:
    """Everybody but those who stand still goes on, the watcher included, until all is at rest or some minutes have passed."""
    for _ in range(rounds):
        world.watch_round()
        if at_rest(world) is None:
            return


@dataclass(frozen=True)
class Case:
    """One race: who stands still, before which of its calls, and what happens meanwhile."""

    beginning: str
    call: int
    story: str
    wakes: Fault


def cases(
    beginning: str, story: str, *, wakes: tuple[Fault, ...] = (Fault.NONE,), first: int = 0, stride: int = 1
) -> Iterator[Case]:
    """Every port call, or every `stride`-th from `first` on, from the beginning's first message to rest."""
    for call in range(first, count_calls(beginning), stride):
        for fault in wakes:
            yield Case(beginning, call, story, fault)


def count_calls(beginning: str) -> int:
    """How many port calls there are to stand still before."""
    world, monitor = _begin(beginning)
    number = 0
    while (worker := _next_worker(world)) is not None:
        monitor.raise_if_failed()
        world.step(worker)
        number += 1
    return number


def _begin(beginning: str) -> tuple[World, Monitor]:
    world = World(settings=IN_CHUNKS if beginning == "in chunks" else SETTINGS)
    monitor = Monitor(world)
    BEGINNINGS[beginning](world)
    return world, monitor


def _next_worker(world: World) -> Worker | None:
    """Whoever makes the next port call, in order; None when there is nothing to do."""
    while not world.workers:
        if world.unborn:
            world.boot(world.unborn[0])
        elif world.ready:
            world.receive(world.ready[0])
        else:
            return None
    return world.workers[0]


def play(case: Case) -> None:
    """Raises Violation when a promise is broken."""
    world, monitor = _begin(case.beginning)
    victim = None
    for number in range(case.call + 1):
        victim = _next_worker(world)
        assert victim is not None
        if number < case.call:
            world.step(victim)
    assert victim is not None
    world.log.append(f"-- {victim.actor.name} stands still before {victim.actor.next}; meanwhile: {case.story}")
    STORIES[case.story](world, victim)
    to_rest(world)
    monitor.raise_if_failed()
    world.log.append("-- it goes on")
    if not victim.actor.finished:
        world.step(victim, case.wakes)
    if not victim.actor.finished:
        world.run(victim)
    monitor.raise_if_failed()
    settle(world, monitor)
    check_end(world, monitor)
    check_quiet(world)
