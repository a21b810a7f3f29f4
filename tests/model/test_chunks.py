"""Runs on several machines, on the real use cases: chunks and a merge, under faults, bad machines and lost or doubled events.

A run in three chunks makes more than twice as many port calls as one on a single machine, so of the faults every few are
taken, other ones for each kind; a thorough run takes all.
"""

from collections import Counter
from itertools import combinations, islice, product

import pytest

from mailtide.contracts import CollectMessage, Done, LaunchMessage, Plan, PlanMessage, WatchMessage
from mailtide.runs import keys, store
from tests.model.simulation.databases import database
from tests.model.simulation.drive import ORG, Drive, drive_one_upload, settle, upload
from tests.model.simulation.intruders import STORIES, cases, play, to_rest
from tests.model.simulation.invariants import Monitor, at_rest, check_end, check_quiet
from tests.model.simulation.machine import Behaviour
from tests.model.simulation.steps import Call, Fault
from tests.model.simulation.world import IN_CHUNKS, World
from tests.model.thorough import THOROUGH
from tests.support.memory_machines import MemoryMachine

SOURCE = keys.source(ORG)
FAULTS: list[Fault] = [fault for fault in Fault if fault is not Fault.NONE]
TASKS = ["chunk-0001", "chunk-0002", "chunk-0003", "merge"]


def world(*, lost: bool = False) -> World:
    return World(settings=IN_CHUNKS, loses_event=lambda _: lost)


def ended(ours: World) -> Done:
    """The one done.json."""
    (key,) = (key for key in ours.bucket.objects if key.endswith("/done.json"))
    return Done.model_validate_json(ours.bucket.objects[key].body)


def launched(ours: World) -> Counter[str]:
    """How many machines were made for each task."""
    return Counter(machine.request.metadata["task"] for machine in ours.machines.machines.values())


def publications(ours: World) -> int:
    return sum(written.by == "complete_copy" for written in ours.history)


def task_of(machine: MemoryMachine) -> str:
    return machine.request.metadata["task"]


@pytest.fixture(scope="module")
def straight() -> list[Call]:
    """The port calls of a run to which nothing happens."""
    return drive_one_upload(world(), {})


@pytest.mark.parametrize("lost", [False, True], ids=["with events", "by the watcher alone"])
def test_a_straight_run_names_and_counts_every_machine(lost: bool) -> None:
    ours = world(lost=lost)
    drive_one_upload(ours, {})
    done = ended(ours)
    assert (done.status, done.tries, publications(ours)) == ("published", 1, 1)
    assert [(use.task, use.attempt) for use in done.machines] == [(task, 1) for task in TASKS]
    assert {use.launch.machine_id for use in done.machines} == ours.machines.machines.keys()
    assert done.machine == done.machines[-1].launch
    assert done.cost is not None
    assert done.cost.machine_usd == pytest.approx(sum(use.usd for use in done.machines))
    assert done.cost.machine_s == pytest.approx(sum(use.seconds for use in done.machines))
    names = [step.name for step in done.steps]
    assert names == [
        *("uploaded", "opened", "planned", "first chunk launched", "last chunk launched", "chunks finished"),
        *("merge launched", "machine started", "machine finished", "decided", "finished"),
    ]
    moments = [step.at for step in done.steps]
    assert moments == sorted(moments)


def test_the_plan_cuts_the_ids_and_the_launches_are_spread() -> None:
    ours = World(settings=IN_CHUNKS.model_copy(update={"launch_burst": 1}))
    drive_one_upload(ours, {})
    plan = store.read_plan(ours.bucket, ORG, ended(ours).run)
    assert plan is not None
    assert [(task.kind, task.first_id, task.last_id) for task in plan.tasks] == [
        ("chunk", None, 1),
        ("chunk", 2, 2),
        ("chunk", 3, None),
        ("merge", None, None),
    ]
    waits = [(use.launch.launched_at - plan.planned_at).total_seconds() for use in ended(ours).machines[:3]]
    assert all(wait >= number for number, wait in enumerate(waits))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.value)
@pytest.mark.parametrize("lost", [False, True], ids=["with events", "by the watcher alone"])
def test_single_faults(lost: bool, fault: Fault) -> None:
    """One fault never costs the publication: the run ends published, exactly once."""
    calls = drive_one_upload(world(lost=lost), {})
    places = [number for number, call in enumerate(calls) if fault in call.faults]
    stride = 1 if THOROUGH else 16 if lost else 8
    for number in places[FAULTS.index(fault) % stride :: stride]:
        ours = world(lost=lost)
        drive_one_upload(ours, {number: fault})
        assert publications(ours) == 1, f"{fault.value} at call {number}, {calls[number]}"


def test_pairs_of_faults_at_the_writes(straight: list[Call]) -> None:
    kinds = (Fault.CRASH_BEFORE, Fault.LOST)
    writes = [number for number, call in enumerate(straight) if call.writes]
    assert len(writes) > 40
    pairs = product(combinations(writes, 2), kinds, kinds)
    for (one, other), first, second in islice(pairs, 0, None, 3 if THOROUGH else 151):
        drive_one_upload(world(), {one: first, other: second})


@pytest.mark.parametrize("story", STORIES)
def test_a_process_that_sleeps_through_a_story(story: str) -> None:
    stride = 1 if THOROUGH else 36
    first = 0 if THOROUGH else 3 * list(STORIES).index(story)
    for case in cases("in chunks", story, first=first, stride=stride):
        play(case)


OF_ANY_TASK = (
    Behaviour.DIES,
    Behaviour.OUT_OF_MEMORY,
    Behaviour.GARBAGE_MANIFEST,
    Behaviour.WRONG_ETAG,
    Behaviour.EMPTY_DATABASE,
)
OF_CHUNKS = (Behaviour.BAD_PART, Behaviour.FOREIGN_PART)


@pytest.mark.parametrize(
    ("task", "behaviour"),
    [*product(("chunk-0002", "merge"), OF_ANY_TASK), *product(("chunk-0002",), OF_CHUNKS)],
)
def test_a_machine_that_fails_costs_a_try_of_its_task_alone(task: str, behaviour: Behaviour) -> None:
    ours = world()
    ours.behaviour = lambda machine: (
        behaviour if (task_of(machine), machine.request.metadata["try"]) == (task, "1") else Behaviour.WORKS
    )
    drive_one_upload(ours, {})
    done = ended(ours)
    assert (done.status, done.tries) == ("published", 2)
    assert launched(ours) == Counter({name: 2 if name == task else 1 for name in TASKS})
    assert len(done.machines) == 5
    assert publications(ours) == 1


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour.INTERNAL, "The machine says: internal. (chunk 2 of 3, 3 tries)"),
        (Behaviour.BAD_INPUT, "The machine says: bad_input."),
        (
            Behaviour.BAD_PART,
            "The machine delivered something unusable: its candidates cannot be used: they are no candidates of mailtide. "
            "(chunk 2 of 3, 3 tries)",
        ),
        (
            Behaviour.FOREIGN_PART,
            "The machine delivered something unusable: its candidates cannot be used: they are of another run. "
            "(chunk 2 of 3, 3 tries)",
        ),
    ],
)
def test_a_chunk_that_never_works_fails_the_run_in_one_sentence(behaviour: Behaviour, reason: str) -> None:
    ours = world()
    ours.behaviour = lambda machine: behaviour if task_of(machine) == "chunk-0002" else Behaviour.WORKS
    drive_one_upload(ours, {})
    done = ended(ours)
    assert (done.status, done.reason, publications(ours)) == ("failed", reason, 0)
    assert ours.bucket.objects[SOURCE].body == database(1)
    assert launched(ours)["merge"] == 0
    assert ours.machines.living == []


@pytest.mark.parametrize("overwritten", [False, True])
def test_a_merge_does_without_a_part_that_nobody_else_could_refuse(overwritten: bool) -> None:
    """Bad in a way that only the merge can see, or written over after its part was named."""
    ours = world()
    bad = Behaviour.WORKS if overwritten else Behaviour.ODD_PART
    ours.behaviour = lambda machine: bad if task_of(machine) == "chunk-0003" else Behaviour.WORKS
    if overwritten:
        ours.bucket.observers.append(lambda written: overwrite(ours, written.key))
    drive_one_upload(ours, {})
    done = ended(ours)
    assert (done.status, done.tries, publications(ours)) == ("published", 1, 1)
    assert done.report is not None
    assert done.report["unusable"] == "chunk-0003"
    assert launched(ours) == Counter(TASKS)


def overwrite(ours: World, key: str) -> None:
    if key.endswith("/parts/chunk-0003.json"):
        ours.bucket.put(
            key.replace("parts/chunk-0003.json", "tasks/chunk-0003/1/candidates.bin"), b"no longer what it was"
        )


def test_a_merge_that_finds_nothing_to_change_publishes_nothing() -> None:
    ours = world()
    ours.behaviour = lambda machine: Behaviour.UNCHANGED if task_of(machine) == "merge" else Behaviour.WORKS
    drive_one_upload(ours, {})
    done = ended(ours)
    assert (done.status, done.changed, publications(ours)) == ("published", False, 0)


def test_a_merge_that_would_change_too_much_is_held() -> None:
    """The brake looks at the merge's report, as at that of one machine."""
    usual: dict[str, object] = {"contacts": 1_000, "rows": {"birthday": {"pre-scheduled": 3_000}}, "inserted": 3_000}
    fewer = usual | {"contacts": 500}
    ours = World(settings=IN_CHUNKS, report=lambda source: usual if source == database(1) else fewer)
    drive_one_upload(ours, {})
    upload(ours, 2)
    Drive(ours, {}).run()
    assert [event.status for event in ours.announcer.events] == ["published", "held"]
    assert ours.bucket.objects[SOURCE].body == database(2)
    assert launched(ours) == Counter(TASKS + TASKS)


def test_the_watcher_leaves_launches_their_pace() -> None:
    """A chunk whose turn has not come is not launched before it, however short the watcher's patience."""
    paced = IN_CHUNKS.model_copy(update={"launch_burst": 1, "launches_per_s": 0.01, "watch_stall_s": 0})
    ours = World(settings=paced, loses_event=lambda key: "runs/" in key)
    upload(ours, 1)
    ours.carry_out_now(PlanMessage(org=ORG))
    ours.queues.waiting.clear()
    for seconds, machines in ((10, 1), (80, 1), (20, 2), (80, 2), (30, 3)):
        ours.clock.advance(seconds)
        ours.carry_out_now(WatchMessage())
        for envelope in [envelope for envelope in ours.ready if envelope.message.kind == "launch"]:
            ours.carry_out_now(envelope.message)
        ours.queues.waiting.clear()
        assert len(ours.machines.machines) == machines


def test_a_launch_that_comes_too_early_makes_no_machine() -> None:
    """Whoever queues a merge by mistake, or twice: it begins when its parts stand."""
    ours = world()
    drive = Drive(ours, {})
    upload(ours, 1)
    while not ours.machines.machines:
        drive.one()
    run = next(iter(ours.machines.machines.values())).request.metadata["run"]
    ours.carry_out_now(LaunchMessage(org=ORG, run=run, task="merge", attempt=1))
    ours.carry_out_now(CollectMessage(org=ORG, run=run, task="merge", attempt=1))
    ours.carry_out_now(LaunchMessage(org=ORG, run=run, task="chunk-0009", attempt=1))
    ours.carry_out_now(CollectMessage(org=ORG, run=run, task="chunk-0009", attempt=1))
    assert ours.actions["parts_missing"] == 1
    assert launched(ours)["merge"] == 0
    drive.run()
    assert launched(ours) == Counter(TASKS)


def test_events_of_chunks_twice_and_backwards_make_one_merge() -> None:
    ours = World(settings=IN_CHUNKS, loses_event=lambda key: "/tasks/" in key)
    monitor = Monitor(ours)
    upload(ours, 1)
    while launched(ours).total() < 3 or ours.workers or ours.unborn:
        Drive(ours, {}).one()
    run = next(iter(ours.machines.machines.values())).request.metadata["run"]
    for task in ("chunk-0003", "chunk-0001", "chunk-0003", "chunk-0002", "chunk-0001", "chunk-0002"):
        ours.carry_out_now(CollectMessage(org=ORG, run=run, task=task, attempt=1))
    for envelope in ours.ready[::-1]:
        ours.carry_out_now(envelope.message)
    settle(ours, monitor)
    check_end(ours, monitor)
    assert launched(ours) == Counter(TASKS)
    assert publications(ours) == 1


def test_a_merge_whose_launch_was_never_queued_is_brought_on() -> None:
    """The call that named the last part died before it sent the launch."""
    ours = world()
    drive = Drive(ours, {})
    upload(ours, 1)
    while not any(
        worker.actor.next and worker.actor.next.key == "launch" and standing(ours) == 3 for worker in ours.workers
    ):
        drive.one()
    ours.everybody_stops()
    ours.queues.waiting.clear()
    ours.loses_event = lambda _: True
    to_rest(ours, rounds=20)
    assert at_rest(ours) is None
    assert ended(ours).status == "published"
    assert launched(ours) == Counter(TASKS)
    check_quiet(ours)


def standing(ours: World) -> int:
    return sum("/parts/chunk-" in key for key in ours.bucket.objects)


def test_a_database_whose_ids_cannot_be_cut_gets_one_machine() -> None:
    """Its contacts are in no order of their ids; and one that is damaged there is refused by the machine, not lost."""
    ours = world()
    body = database(1).replace(b"id INTEGER PRIMARY KEY", b"id INT     PRIMARY KEY")
    ours.bucket.put(SOURCE, body)
    Drive(ours, {}).run()
    plan: Plan | None = store.read_plan(ours.bucket, ORG, ended(ours).run)
    assert plan is not None
    assert [task.task for task in plan.tasks] == ["whole"]
