"""From a seed to a scenario: organisations, their uploads, and what goes wrong meanwhile."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal

from localstack.fly import faults
from localstack.fly.faults import MachineFault, RequestFault
from tests.chaos.rules import FUNCTIONS, Kind, Role, Rule, Which
from tests.chaos.stage import TASK_TIMEOUT_S

type Family = Literal["mixed", "silent", "clock"]
"""silent: no event is delivered at all. clock: the clocks of some functions are five minutes wrong."""
type Quality = Literal["good", "no database", "truncated", "no email"]

SKEW_S = 290
"""AWS itself refuses requests that are signed five minutes ago; this is just within."""
EVENTS = ("SourceUploaded", "TryEnded", "ResultWritten")
UPLOAD, EXPIRE, AGAIN, DEMAND, CANCEL = (
    "upload during a run",
    "lock expired under its holder",
    "messages again",
    "demand during a run",
    "run cancelled",
)
DEEDS = (UPLOAD, EXPIRE, AGAIN, DEMAND, CANCEL)
REDELIVERED: tuple[Role, ...] = ("plan", "launch", "collect", "finish")
CYCLE = 6
_EFFECTS: Mapping[Role, int] = {"plan": 5, "launch": 3, "collect": 3, "finish": 11, "watch": 3, "machine": 4}
"""About as many requests with an effect as a call of each makes for one run."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload of an organisation."""

    contacts: int
    first_day: int
    quality: Quality = "good"


@dataclass(frozen=True, slots=True)
class Script:
    """What an organisation does: `uploads[:at_once]` together at the beginning, the others one after the other or by a deed."""

    org: str
    uploads: tuple[Upload, ...]
    at_once: int
    start_s: float
    next_day: bool
    """Whether a daily run follows when all is at rest."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that is drawn from a seed."""

    seed: int
    family: Family
    scripts: tuple[Script, ...]
    rules: tuple[Rule, ...] = ()
    fly: tuple[RequestFault | MachineFault, ...] = ()
    lost: tuple[str, ...] = ()
    """Rules of EVENTS that are switched off at the beginning."""
    lost_for_s: float | None = None
    """None: to the end."""
    redelivered: Role | None = None
    """A function whose messages come again while it is at work."""
    storm: bool = False
    """Whether every message is sent by hand several times, all the while and once more at the end."""
    clocks_s: Mapping[Role, int] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The scenario in words."""
        told = [
            f"{script.org}: "
            + ", ".join(
                f"{upload.contacts} contacts{'' if upload.quality == 'good' else f' ({upload.quality})'}"
                for upload in script.uploads
            )
            + (f", {script.at_once} at once" if script.at_once > 1 else "")
            + (", a next day" if script.next_day else "")
            for script in self.scripts
        ]
        told += [str(rule) for rule in self.rules]
        told += [f"fly: {fault.model_dump(exclude_defaults=True) | {'kind': fault.kind}}" for fault in self.fly]
        told += (
            [
                f"events lost: {', '.join(self.lost)} {'always' if self.lost_for_s is None else f'for {self.lost_for_s:g} s'}"
            ]
            if self.lost
            else []
        )
        told += [f"messages of {self.redelivered} redelivered"] if self.redelivered else []
        told += ["every message several times"] if self.storm else []
        told += [f"clock of {role} {seconds:+} s" for role, seconds in self.clocks_s.items()]
        return told


def draw(seed: int) -> Scenario:
    """The same seed, the same scenario."""
    random = Random(f"chaos {seed}")
    family: Family = "silent" if seed % 7 == 0 else "clock" if seed % 11 == 5 else "mixed"
    scripts = tuple(_script(random, f"c{seed}-{'abcd'[number]}") for number in range(random.choice((2, 2, 3, 3, 4))))
    orgs = [script.org for script in scripts]
    if family == "clock":
        return _with_wrong_clocks(random, seed, scripts)
    rules = [rule for org in orgs for rule in _rules(random, org)]
    rules += [
        Rule("deed before", role, script.org, "effect", random.randint(1, _EFFECTS[role]), deed=UPLOAD)
        for script in scripts
        if len(script.uploads) > script.at_once
        for role in [random.choice((*FUNCTIONS, "machine"))]
    ]
    fly: list[RequestFault | MachineFault] = [
        fault for org in orgs if random.random() < 0.45 for fault in [random.choice(MACHINES)(random, {"org": org})]
    ]
    fly += [random.choice(API)(random) for _ in range(random.choice((0, 0, 1, 1, 2, 3)))]
    silent = family == "silent"
    due = Random(f"chaos due {seed}")
    if not silent:
        certain_scripts, certain_rules, certain_fly = _certain(due, seed, scripts)
        scripts, rules, fly = certain_scripts, rules + certain_rules, fly + certain_fly
    lost = EVENTS if silent else tuple(name for name in EVENTS if random.random() < 0.25)
    return Scenario(
        seed=seed,
        family=family,
        scripts=scripts,
        rules=tuple(rules),
        fly=tuple(fly),
        lost=lost,
        lost_for_s=None if silent else round(random.uniform(1, 12), 1),
        redelivered=_redelivered(seed) if not silent and seed % CYCLE == 4 else None,
        storm=not silent and seed % CYCLE == 3,
    )


def _certain(
    random: Random, seed: int, scripts: tuple[Script, ...]
) -> tuple[tuple[Script, ...], list[Rule], list[RequestFault | MachineFault]]:
    """What chance alone would hardly ever bring about: each seed gets one kind, in turn, so that it does strike."""
    first, *others = scripts
    first = replace(first, uploads=(_chunked(random), *first.uploads[1:]), at_once=1)
    own = {"org": first.org}
    rules: list[Rule] = []
    fly: list[RequestFault | MachineFault] = []
    match seed % CYCLE:
        case 0:
            rules = [Rule("deed before", "launch", first.org, "effect", deed=DEMAND)]
        case 1:
            # The watcher looks at a machine that takes its time.
            fly = [faults.SlowBoot(metadata=own, delay_s=5), faults.NotFound(action="get", count=2)]
            rules = [Rule("garbage database", "machine", first.org, "schedule manifest")]
        case 2:
            # Nothing supersedes the run before its merge.
            first = replace(first, uploads=first.uploads[:1])
            rules = [
                Rule("foreign part", "machine", first.org, "chunk manifest", 1),
                Rule("spoiled part", "machine", first.org, "chunk manifest", 2),
            ]
        case 4:
            rules = [Rule("slow", _redelivered(seed), first.org, delay_s=3)]
        case 5:
            # Before it can have an outcome: each of these comes once a chunk at least.
            role: Role = random.choice(("launch", "machine", "collect"))
            rules = [
                Rule("deed before", role, first.org, "effect", random.randint(1, 2), deed=CANCEL),
                Rule(random.choice(("garbage manifest", "foreign manifest")), "machine", scripts[-1].org, "manifest"),
            ]
    return (first, *others), rules, fly


def _redelivered(seed: int) -> Role:
    return REDELIVERED[seed // CYCLE % len(REDELIVERED)]


def _chunked(random: Random) -> Upload:
    return Upload(random.randint(300, 400), random.randint(1, 27))


def _script(random: Random, org: str) -> Script:
    count = random.choice((1, 1, 1, 2, 2, 3))
    uploads = tuple(_upload(random) for _ in range(count))
    at_once = random.choice((1, 1, 2)) if count > 1 else 1
    return Script(org, uploads, at_once, round(random.uniform(0, 1.5), 2), next_day=random.random() < 0.3)


def _upload(random: Random) -> Upload:
    contacts = random.choice((random.randint(40, 199), random.randint(40, 199), random.randint(200, 400)))
    bad: Quality = random.choice(("no database", "truncated", "no email"))
    return Upload(contacts, random.randint(1, 27), bad if random.random() < 0.1 else "good")


def _with_wrong_clocks(random: Random, seed: int, scripts: tuple[Script, ...]) -> Scenario:
    """Faults that heal without the watcher: where its clock is behind, it waits five minutes longer."""
    roles = random.sample(FUNCTIONS, random.randint(1, 4))
    rules = [_refusal(random, script.org) for script in scripts] + [_cut(random, script.org) for script in scripts]
    clocks_s = {role: random.choice((-SKEW_S, SKEW_S)) for role in roles}
    return Scenario(seed, "clock", scripts, rules=tuple(rules), clocks_s=clocks_s)


def _rules(random: Random, org: str) -> list[Rule]:
    return [random.choice(WAYS)(random, org) for _ in range(random.choice((0, 1, 1, 2, 2, 3)))]


def _role(random: Random) -> Role:
    return random.choice((*FUNCTIONS, "finish", "machine"))


def _refusal(random: Random, org: str) -> Rule:
    kind: Kind = random.choice(("500", "503"))
    return Rule(kind, _role(random), org, nth=random.randint(1, 14), times=random.choice((1, 1, 2, 4, 6)))


def _conflict(random: Random, org: str) -> Rule:
    return Rule("409", _role(random), org, "conditional", random.randint(1, 4), times=random.choice((1, 2, 6)))


def _slow(random: Random, org: str) -> Rule:
    delay_s = round(random.choice((0.5, 2, 4, 10)) * random.uniform(0.8, 1.2), 1)
    return Rule("slow", _role(random), org, random.choice(("any", "effect")), random.randint(1, 12), delay_s=delay_s)


def _cut(random: Random, org: str) -> Rule:
    role, times = _role(random), random.choice((1, 1, 4))
    if random.random() < 0.3:
        return Rule("cut within", role, org, random.choice(("read", "source")), random.randint(1, 5), times)
    if random.random() < 0.5:
        return Rule("cut before", role, org, nth=random.randint(1, 14), times=times)
    return Rule("cut after", role, org, random.choice(("effect", "conditional")), random.randint(1, 8), times)


def _kill(random: Random, org: str) -> Rule:
    role: Role = random.choice((*FUNCTIONS, "finish", "launch"))
    before = random.random() < 0.5
    return Rule("kill before" if before else "kill after", role, org, "effect", random.randint(1, _EFFECTS[role]))


def _kill_machine(random: Random, org: str) -> Rule:
    which: Which = random.choice(("any", "effect"))
    return Rule(random.choice(("kill before", "kill after")), "machine", org, which, random.randint(1, 6))


def _race(random: Random, org: str) -> Rule:
    role: Role = random.choice(("plan", "finish", "finish", "watch"))
    return Rule("lost race", role, org, "fenced", random.randint(1, 3), times=random.choice((1, 2)))


def _deed(random: Random, org: str) -> Rule:
    role: Role = random.choice((*FUNCTIONS, "finish", "machine"))
    kind: Kind = random.choice(("deed before", "deed after"))
    return Rule(
        kind,
        role,
        org,
        "effect",
        random.randint(1, _EFFECTS[role]),
        deed=random.choice((EXPIRE, EXPIRE, AGAIN, DEMAND, CANCEL)),
    )


def _delivery(random: Random, org: str) -> Rule:
    kind: Kind = random.choice(
        ("late delivery", "garbage manifest", "foreign manifest", "foreign part", "delivery overwritten")
    )
    return Rule(
        kind,
        "machine",
        org,
        "manifest",
        random.randint(1, 3),
        delay_s=TASK_TIMEOUT_S + 4 if kind == "late delivery" else 0,
    )


WAYS: tuple[Callable[[Random, str], Rule], ...] = (
    _refusal,
    _refusal,
    _conflict,
    _slow,
    _cut,
    _cut,
    _kill,
    _kill,
    _kill,
    _kill_machine,
    _race,
    _deed,
    _deed,
    _delivery,
    _delivery,
)

type Metadata = dict[str, str]
MACHINES: tuple[Callable[[Random, Metadata], MachineFault], ...] = (
    lambda random, of: faults.CrashOnBoot(metadata=of, count=random.choice((1, 1, 2, 3))),
    lambda random, of: faults.Kill(metadata=of, after_s=random.uniform(0, 2.5)),
    lambda random, of: faults.ExitCode(metadata=of, exit_code=3, after_s=random.choice((None, random.uniform(0, 2)))),
    lambda random, of: faults.OutOfMemory(metadata=of, after_s=random.uniform(0, 2), count=random.choice((1, 2))),
    lambda random, of: faults.Vanish(metadata=of, after_s=random.uniform(0, 2)),
    lambda random, of: faults.Hang(metadata=of, after_s=random.choice((None, random.uniform(0, 1.5)))),
    lambda random, of: faults.SlowBoot(metadata=of, delay_s=random.uniform(1, 6)),
    lambda random, of: faults.Hidden(metadata=of, for_s=random.uniform(1, 8)),
    lambda _, of: faults.MemoryLimit(metadata=of),
)
API: tuple[Callable[[Random], RequestFault], ...] = (
    lambda random: faults.RateLimited(action="create", count=random.randint(1, 4)),
    lambda _: faults.RateLimited(action="create", count=2, retry_after_s=1),
    lambda random: faults.ServerError(
        action=_action(random), status=random.choice((500, 502, 503)), when="before", count=random.randint(1, 4)
    ),
    lambda random: faults.ServerError(action=_action(random), when="after", count=random.randint(1, 2)),
    lambda random: faults.TimeOut(action=_action(random), when=random.choice(("before", "after")), hang_s=2),
    lambda random: faults.Dropped(
        action=_action(random), when=random.choice(("before", "after")), count=random.randint(1, 2)
    ),
    lambda random: faults.NotFound(action=random.choice(("get", "destroy")), count=random.randint(1, 3)),
    lambda random: faults.NoCapacity(
        wording=random.choice(("insufficient_capacity", "aborted", "volume_placement_capacity", "over_quota")),
        count=random.randint(1, 8),
    ),
    lambda _: faults.NoCapacity(region="iad", count=None),
    lambda _: faults.Unauthorized(action="create", count=1),
)


def _action(random: Random) -> faults.Action:
    return random.choice(("create", "create", "get", "list", "destroy"))
