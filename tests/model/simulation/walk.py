"""Random walks: everything that can happen happens in some order, then the watcher alone must bring it all to rest.

    python -m tests.model.simulation.walk --walks 5000 --first-seed 0

The seed decides the walk. A walk that breaks a promise is told with its seed and its whole story.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from random import Random

from mailtide.contracts import PlanMessage, TickMessage, WatchMessage
from mailtide.runs import keys
from tests.model.simulation.databases import database
from tests.model.simulation.drive import run_late, settle
from tests.model.simulation.intruders import cancel_open
from tests.model.simulation.invariants import Monitor, check_end, check_quiet
from tests.model.simulation.machine import Behaviour
from tests.model.simulation.steps import Fault
from tests.model.simulation.world import IN_CHUNKS, SETTINGS, Worker, World
from tests.support.memory_bucket import Version
from tests.support.memory_machines import MemoryMachine
from tests.support.memory_queues import Envelope

ORGS = ("acme", "bolt")
MAX_WORKERS = 6


@dataclass(frozen=True)
class Temper:
    """How rough a walk is: probabilities, and how many things happen."""

    steps: int
    fault: float
    lost_event: float
    bad_machine: float
    customer: float
    jump: float
    freeze: float

    @classmethod
    def draw(cls, random: Random) -> "Temper":
        return cls(
            steps=random.choice((150, 300, 600)),
            fault=random.choice((0.0, 0.01, 0.03, 0.1)),
            lost_event=random.choice((0.0, 0.05, 0.3)),
            bad_machine=random.choice((0.0, 0.2, 0.6)),
            customer=random.choice((0.003, 0.01, 0.04)),
            jump=random.choice((0.0, 0.005, 0.02)),
            freeze=random.choice((0.0, 0.02, 0.1)),
        )


@dataclass
class Walk:
    """One walk."""

    seed: int
    rounds: int = 0
    world: World = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.temper = Temper.draw(self.random)
        self.world = World(
            settings=self.random.choice((SETTINGS, SETTINGS, IN_CHUNKS)),
            behaviour=self._behaviour,
            loses_event=lambda _: self._chance(self.temper.lost_event),
        )
        self.world.bucket.dated_by_initiation = self._chance(0.5)
        self.world.bucket.forgets_completed = self._chance(0.3)
        self.world.bucket.part_bytes = self.random.choice((1_000, 1_000_000))
        self.monitor = Monitor(self.world)
        self.serial = 0
        self.frozen: dict[int, int] = {}
        """By the id of a worker: how many more steps it stands still, wherever it is, while others go on."""
        self.past: dict[str, list[Version]] = {org: [] for org in ORGS}

    def run(self) -> None:
        """Raises Violation when a promise is broken."""
        if self._chance(0.4):
            self.world.bucket.put(keys.rules(ORGS[0]), b"sync: changeset\n")
        self._upload(ORGS[0])
        for _ in range(self.temper.steps):
            self._act()
            self.monitor.raise_if_failed()
        self._last_effects()
        self.temper = Temper(steps=0, fault=0, lost_event=0, bad_machine=0, customer=0, jump=0, freeze=0)
        self.world.machines.refusing = False
        self.world.machines.hidden.clear()
        self.rounds = settle(self.world, self.monitor)
        check_end(self.world, self.monitor)
        check_quiet(self.world)

    def _chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def _act(self) -> None:
        if self._chance(self.temper.customer):
            self._customer(self.random.choice(ORGS))
        elif self._chance(self.temper.jump):
            self._time_passes()
        elif self._chance(0.02):
            self._disturb()
        elif not self._work():
            self.world.clock.advance(self.random.choice((1, 20, 60)))
            self.world.queues.send(WatchMessage())

    def _work(self) -> bool:
        """A process makes a step, or a new one begins; False when nobody has anything to do."""
        world = self.world
        starts: list[Callable[[], object]] = []
        if len(world.workers) < MAX_WORKERS:
            starts += [lambda e=envelope: world.receive(e) for envelope in world.ready]  # type: ignore[misc]
            starts += [lambda m=machine: world.boot(m) for machine in world.unborn]  # type: ignore[misc]
        if not world.workers and not starts:
            return False
        if world.workers and (not starts or self._chance(0.8)):
            self._step(self._unfrozen())
        else:
            self.random.choice(starts)()
        return True

    def _unfrozen(self) -> Worker:
        self.frozen = {worker: left - 1 for worker, left in self.frozen.items() if left > 1}
        movable = [worker for worker in self.world.workers if id(worker) not in self.frozen]
        return self.random.choice(movable or self.world.workers)

    def _step(self, worker: Worker) -> None:
        call = worker.actor.next
        if self._chance(self.temper.freeze):
            self.frozen[id(worker)] = self.random.choice((5, 20, 80))
        fault = Fault.NONE
        if call is not None and self._chance(self.temper.fault):
            fault = self.random.choice(call.faults)
        self.world.step(worker, fault)

    def _behaviour(self, machine: MemoryMachine) -> Behaviour:
        if self._chance(0.1 * (self.temper.bad_machine > 0)):
            self.world.machines.hidden.add(machine.id)
        return self.random.choice(list(Behaviour)) if self._chance(self.temper.bad_machine) else Behaviour.WORKS

    def _time_passes(self) -> None:
        self.world.clock.advance(self.random.choice((1, 5, 30, 90, 310, 700, 2_000, 3_700, 30_000)))

    def _disturb(self) -> None:
        """Messages twice, out of order or never; the watcher and the timer in between; late effects; refusals."""
        world, random = self.world, self.random
        match random.randrange(9):
            case 0 | 1:
                world.queues.send(WatchMessage())
            case 2:
                world.queues.send(TickMessage())
            case 3 if world.late:
                run_late(world, random.randrange(len(world.late)))
            case 4 if world.queues.waiting:
                self._disturb_message(random.choice(world.queues.waiting))
            case 5 if world.workers and (worker := random.choice(world.workers)).envelope is not None:
                # Its visibility time-out ends while it is still at work.
                world.queues.send(worker.envelope.message)
            case 6:
                world.machines.refusing = not world.machines.refusing and self._chance(0.3)
                world.machines.hidden.clear()
            case 7:
                self._cancel()
            case _:
                self._demand()

    def _disturb_message(self, envelope: Envelope) -> None:
        waiting = self.world.queues.waiting
        if self._chance(0.6):
            self.world.queues.send(envelope.message, delay_s=self.random.choice((0, 10, 400)))
        elif self._chance(self.temper.lost_event):
            waiting.remove(envelope)

    def _demand(self) -> None:
        day = self.world.clock.now().date()
        request = f"request-{self.random.randrange(5)}"
        as_of = self.random.choice((None, day, date(2026, 1, 15)))
        self.world.queues.send(
            PlanMessage(org=self.random.choice(ORGS), trigger="demand", as_of=as_of, request_id=request)
        )

    def _cancel(self) -> None:
        """A person ends an open run; perhaps the message that tells finish_run is never sent."""
        markers = [info.key for info in self.world.bucket.list(keys.OPEN)]
        if markers and cancel_open(self.world, self.random.choice(markers)) and self._chance(0.3):
            self.world.queues.waiting.pop()

    def _customer(self, org: str) -> None:
        """New content, the same again, what we published, an old version back, garbage, or nothing."""
        world, key = self.world, keys.source(org)
        current = world.current(org)
        if current is not None:
            self.past[org].append(current)
        old = self.random.choice(self.past[org]) if self.past[org] else None
        match self.random.randrange(9):
            case 0 if current is not None:
                world.bucket.put(key, current.body)
            case 1 if old is not None:
                world.bucket.put(key, old.body)
            case 2 if old is not None and old.body:
                world.bucket.put_multipart(key, old.body, part_bytes=world.bucket.part_bytes)
            case 3:
                world.bucket.delete(key)
            case 4 if old is not None and current is None:
                world.bucket.restore(key, old)
            case 5:
                world.bucket.put(key, b"not a database %d" % self.random.randrange(3))
            case _:
                self._upload(org)
        world.log.append(f"customer: {org} has {world.current(org) and world.current(org).etag}")  # type: ignore[union-attr]

    def _upload(self, org: str) -> None:
        self.serial += 1
        self.world.bucket.put(keys.source(org), database(self.serial))
        if self._chance(0.1):
            self.world.bucket.objects.pop(keys.rules(org), None)
            self.world.bucket.put(
                keys.rules(org),
                self.random.choice((b"sync: changeset\n", b"sync: both\n", b"cadense: daily\n", b"\xff\xfe")),
            )

    def _last_effects(self) -> None:
        while self.world.late:
            if self._chance(0.5):
                run_late(self.world)
            else:
                self.world.late.pop(0)


def main() -> int:
    """Take many walks; 1 when one of them broke a promise."""
    parser = argparse.ArgumentParser(description="Random walks through the protocol of runs.")
    parser.add_argument("--walks", type=int, default=500)
    parser.add_argument("--first-seed", type=int, default=0)
    arguments = parser.parse_args()
    rounds, actions, failures, began_s = Counter[int](), Counter[str](), 0, time.monotonic()
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.walks):
        walk = Walk(seed)
        try:
            walk.run()
        except AssertionError as error:
            failures += 1
            print(f"seed {seed}: {error}")
            if failures == 1:
                print("\n".join(walk.world.log), file=sys.stderr)
        rounds[walk.rounds] += 1
        actions.update(walk.world.actions)
    print(f"{arguments.walks} walks in {time.monotonic() - began_s:.1f} s, {failures} broken")
    print("watch rounds to rest:", dict(sorted(rounds.items())))
    print("what the calls did:", dict(actions.most_common()))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
