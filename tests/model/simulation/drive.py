"""One run from upload to rest, everything in order, with given faults at given port calls; and the return to rest after chaos."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from mailtide.contracts import WatchMessage
from mailtide.runs import keys
from tests.model.simulation.databases import database
from tests.model.simulation.invariants import Monitor, Violation, at_rest, check_end, check_quiet
from tests.model.simulation.steps import Call, Fault
from tests.model.simulation.world import World

ORG = "acme"
MAX_CALLS = 4_000
MAX_ROUNDS = 40
"""Watch rounds, a minute each, in which everything must come to rest: a run's time-out is 30 of them."""


class Drive:
    """Delivers in order and lets one process work at a time. faults: by the number of the port call, from 0."""

    def __init__(self, world: World, faults: Mapping[int, Fault]) -> None:
        self.world = world
        self.monitor = Monitor(world)
        self.faults = faults
        self.calls: list[Call] = []
        self._next_watch = world.clock.now() + timedelta(seconds=60)

    def run(self) -> list[Call]:
        """Until all is at rest. Returns the port calls that were made; Violation when it never comes to rest."""
        while len(self.calls) < MAX_CALLS:
            if not self.one() and at_rest(self.world) is None:
                self._late_effects()
                if at_rest(self.world) is None:
                    return self.calls
            self.monitor.raise_if_failed()
        raise Violation(f"no rest after {MAX_CALLS} calls: {at_rest(self.world)}")

    def one(self) -> bool:
        """One thing; False when there is nothing to do before the next watch."""
        world = self.world
        if world.workers:
            worker = world.workers[0]
            if worker.actor.next is not None:
                fault = self.faults.get(len(self.calls), Fault.NONE)
                self.calls.append(worker.actor.next)
                world.step(worker, fault)
        elif world.unborn:
            world.boot(world.unborn[0])
        elif world.ready:
            world.receive(world.ready[0])
        else:
            return self._wait()
        return True

    def _wait(self) -> bool:
        world = self.world
        if at_rest(world) is None and not world.late:
            return False
        times: list[datetime] = [envelope.ready_at for envelope in world.queues.waiting]
        until = min([*times, self._next_watch])
        world.clock.advance(max(0.0, (until - world.clock.now()).total_seconds()))
        self._late_effects()
        if until == self._next_watch:
            self._next_watch += timedelta(seconds=60)
            world.queues.send(WatchMessage())
        return True

    def _late_effects(self) -> None:
        while self.world.late:
            run_late(self.world)


def run_late(world: World, index: int = 0) -> None:
    """A request whose sender heard nothing takes effect now, or is refused now."""
    action = world.late.pop(index)
    try:
        action()
    except Exception as error:  # noqa: BLE001 - nobody hears this answer
        world.log.append(f"late: {error!r}")


def upload(world: World, serial: int, org: str = ORG) -> None:
    """A customer's plain PUT."""
    world.log.append(f"customer uploads {serial} for {org}")
    world.bucket.put(keys.source(org), database(serial))


def drive_one_upload(world: World, faults: Mapping[int, Fault]) -> list[Call]:
    """An upload, one run, these faults; all promises are checked. Returns the port calls."""
    drive = Drive(world, faults)
    upload(world, 1)
    calls = drive.run()
    check_end(world, drive.monitor)
    check_quiet(world)
    return calls


def settle(world: World, monitor: Monitor) -> int:
    """The watcher alone brings everything to rest: no event is delivered any more. Returns how many rounds that took."""
    world.everybody_stops()
    world.queues.waiting.clear()
    world.loses_event = lambda _: True
    for number in range(1, MAX_ROUNDS + 1):
        world.watch_round()
        monitor.raise_if_failed()
        if at_rest(world) is None:
            return number
    raise Violation(f"no rest after {MAX_ROUNDS} watch rounds: {at_rest(world)}")
