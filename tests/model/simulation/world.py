"""Everything that a run meets, in memory and in one thread's order: bucket, queues, machines, time, and whoever is at work."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from mailtide.contracts import Message, WatchMessage
from mailtide.errors import MailtideError
from mailtide.runs.dispatch import carry_out
from mailtide.runs.inbox import of_key
from mailtide.runs.services import Services, StepReport
from mailtide.settings import Settings
from tests.model.simulation.machine import Behaviour, Program
from tests.model.simulation.stepped import (
    SteppedAnnouncer,
    SteppedBucket,
    SteppedMachines,
    SteppedPool,
    SteppedQueues,
    Stepper,
)
from tests.model.simulation.steps import Actor, Call, Crash, Direct, Fault
from tests.support.memory_bucket import MemoryBucket, Version, Written
from tests.support.memory_clock import MemoryClock, WrongClock
from tests.support.memory_machines import MemoryMachine, MemoryMachines
from tests.support.memory_queues import Envelope, MemoryAnnouncer, MemoryQueues

SETTINGS = Settings(
    bucket="simulated",
    lock_ttl_s=300,
    task_timeout_s=300,
    run_timeout_s=1_800,
    max_tries=3,
    watch_stall_s=60,
    url_ttl_s=3_600,
)
IN_CHUNKS = SETTINGS.model_copy(
    update={"chunking": "always", "chunk_from_contacts": 2, "chunk_contacts": 1, "max_chunks": 3}
)
"""Every database of a simulation is done by a machine a contact, and a merge."""
MAX_RECEIVES = 5
VISIBILITY_S = 60
STEP_S = 0.05


@dataclass
class Worker:
    """A process and what it works on: a message or a machine."""

    actor: Actor
    envelope: Envelope | None = None
    machine: MemoryMachine | None = None


@dataclass
class World:
    """behaviour: what becomes of each new machine. loses_event: whether the event of this key's creation is lost. wrong_by_s:
    how far the clock of the function is off that takes messages of this kind. report: what
    the pass says about a source."""

    settings: Settings = SETTINGS
    clock: MemoryClock = field(default_factory=MemoryClock)
    behaviour: Callable[[MemoryMachine], Behaviour] = lambda _: Behaviour.WORKS
    loses_event: Callable[[str], bool] = lambda _: False
    wrong_by_s: Callable[[str], float] = lambda _: 0.0
    report: Callable[[bytes], dict[str, object]] = lambda _: {}

    def __post_init__(self) -> None:
        self.bucket = MemoryBucket(self.clock)
        self.queues = MemoryQueues(self.clock)
        self.machines = MemoryMachines(self.clock, on_created=self._machine_created)
        self.announcer = MemoryAnnouncer()
        self.workers: list[Worker] = []
        self.late: list[Callable[[], object]] = []
        self.history: list[Written] = []
        self.unborn: list[MemoryMachine] = []
        """Machines whose program has not begun."""
        self.dead_letters: list[Message] = []
        self.surprises: list[str] = []
        """Exceptions that no use case should let out."""
        self.actions: Counter[str] = Counter()
        """What the calls reported that they did."""
        self.log: list[str] = []
        self.bucket.observers.append(self._object_changed)

    # What comes about by itself.

    def _object_changed(self, written: Written) -> None:
        self.history.append(written)
        if written.after is None or self.loses_event(written.key):
            return
        message = of_key(written.key)
        if message is not None:
            self.queues.send(message)

    def _machine_created(self, machine: MemoryMachine) -> None:
        self.unborn.append(machine)

    def services(self, steps: Stepper, kind: str) -> Services:
        return Services(
            bucket=SteppedBucket(self.bucket, steps),
            queues=SteppedQueues(self.queues, steps),
            machines=SteppedMachines(self.machines, steps),
            pool=SteppedPool(self.machines, steps),
            announcer=SteppedAnnouncer(self.announcer, steps),
            clock=WrongClock(self.clock, self.wrong_by_s(kind)),
            settings=self.settings,
        )

    # Steps, for schedulers.

    @property
    def ready(self) -> list[Envelope]:
        now = self.clock.now()
        return [envelope for envelope in self.queues.waiting if envelope.ready_at <= now]

    def receive(self, envelope: Envelope) -> Worker:
        """A function starts on a message, and stands before its first port call."""
        self.queues.waiting.remove(envelope)
        envelope.receives += 1
        message = envelope.message

        def work(actor: Actor) -> None:
            self._note(carry_out(self.services(actor, message.kind), message))

        worker = Worker(Actor(message.kind, work, self.late.append), envelope=envelope)
        self.workers.append(worker)
        self._reap(worker)
        return worker

    def boot(self, machine: MemoryMachine) -> Worker:
        """A machine's program begins."""
        self.unborn.remove(machine)
        behaviour = self.behaviour(machine)

        def work(actor: Actor) -> None:
            Program(self.bucket, actor, machine, behaviour, self.report).run()

        worker = Worker(Actor(machine.id, work, self.late.append), machine=machine)
        self.workers.append(worker)
        self._reap(worker)
        return worker

    def step(self, worker: Worker, fault: Fault = Fault.NONE) -> None:
        """The next port call of a process. A machine that was destroyed makes none."""
        gone = worker.machine is not None and not worker.machine.alive
        call = worker.actor.next
        if call is not None:
            self.log.append(
                f"{self.clock.now():%d %H:%M:%S} {worker.actor.name}: {call.what} {call.key[:90]} {fault.value}"
            )
        worker.actor.advance(Fault.CRASH_BEFORE if gone else fault)
        self.clock.advance(STEP_S)
        self._reap(worker)

    def run(self, worker: Worker) -> None:
        """To its end, undisturbed."""
        while not worker.actor.finished:
            self.step(worker)

    def _reap(self, worker: Worker) -> None:
        if not worker.actor.finished:
            return
        self.workers.remove(worker)
        error = worker.actor.error
        if error is not None:
            self._judge(worker.actor.name, error)
        if worker.machine is not None:
            if error is not None and worker.machine.alive:
                worker.machine.end(exit_code=1)
        elif worker.envelope is not None and error is not None:
            self._return(worker.envelope)

    def _return(self, envelope: Envelope) -> None:
        """A message whose call failed is visible again later, or is dead."""
        if envelope.receives >= MAX_RECEIVES:
            self.dead_letters.append(envelope.message)
            return
        envelope.ready_at = self.clock.now() + timedelta(seconds=VISIBILITY_S)
        self.queues.waiting.append(envelope)

    def _judge(self, name: str, error: BaseException) -> None:
        self.log.append(f"{name}: {type(error).__name__} {error}")
        if not isinstance(error, Crash | MailtideError | ExceptionGroup):
            self.surprises.append(f"{name}: {error!r}")

    def _note(self, reports: list[StepReport]) -> None:
        for report in reports:
            self.actions[report.action] += 1
            self.log.append(f"    -> {report.action} {report.details}")

    # Without a scheduler: one thing after another, nothing fails.

    def carry_out_now(self, message: Message) -> None:
        """One call from beginning to end; its errors are noted like anybody's."""
        self.log.append(f"{self.clock.now():%d %H:%M:%S} {message.kind} {message}")
        try:
            self._note(carry_out(self.services(Direct(), message.kind), message))
        except Exception as error:  # noqa: BLE001 - as on a queue: whatever it is, it ends this call alone
            self._judge(message.kind, error)

    def watch_round(self) -> None:
        """A minute passes; the watcher runs, then whatever it queued, then the machines that came of it."""
        self.clock.advance(60)
        self.carry_out_now(WatchMessage())
        for _ in range(50):
            ready = self.ready
            if not ready and not self.unborn:
                return
            for envelope in ready:
                self.queues.waiting.remove(envelope)
                self.carry_out_now(envelope.message)
                self.clock.advance(STEP_S)
            for machine in list(self.unborn):
                self._run_machine_now(machine)
        raise AssertionError("The queues never come to rest: messages beget messages.")

    def _run_machine_now(self, machine: MemoryMachine) -> None:
        self.unborn.remove(machine)
        if machine.alive:
            self.clock.advance(3)
            Program(self.bucket, Direct(), machine, self.behaviour(machine), self.report).run()

    def everybody_stops(self) -> None:
        """All processes die where they stand."""
        for worker in list(self.workers):
            worker.actor.kill()
            self._reap(worker)

    def current(self, org: str) -> Version | None:
        return self.bucket.objects.get(f"orgs/{org}/contacts.db")


def calls_of(world: World, worker: Worker) -> list[Call]:
    """Run a worker to its end and list the port calls that it made."""
    calls: list[Call] = []
    while not worker.actor.finished:
        assert worker.actor.next is not None
        calls.append(worker.actor.next)
        world.step(worker)
    return calls
