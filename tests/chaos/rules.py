"""What is to go wrong between the functions or the machines and AWS: rules that strike requests, drawn by a seed."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

type Role = Literal["plan", "launch", "collect", "finish", "watch", "machine"]
FUNCTIONS: tuple[Role, ...] = ("plan", "launch", "collect", "finish", "watch")

type Kind = Literal[
    "500",
    "503",
    "409",
    "slow",
    "cut before",
    "cut after",
    "cut within",
    "kill before",
    "kill after",
    "lost race",
    "deed before",
    "deed after",
    "late delivery",
    "garbage manifest",
    "foreign manifest",
    "foreign part",
    "spoiled part",
    "delivery overwritten",
    "garbage database",
]
"""500, 503, 409 and the cuts: what S3 and networks do. kill: SIGKILL for the caller before the request has taken effect, or
after. lost race: another writer is first, so that S3 itself answers 412. deed: a person or another part does something at this
very moment. The last seven are machines that deliver what they should not."""

type Which = Literal[
    "any",
    "effect",
    "read",
    "conditional",
    "fenced",
    "source",
    "delivery",
    "manifest",
    "chunk manifest",
    "schedule manifest",
]
"""effect: not a read. conditional: If-Match or If-None-Match. fenced: lock.json or latest.json with If-Match. manifest: of any
task; of a chunk; of whoever writes the database."""

DELIVERED = ("/contacts.db", "/candidates.bin")


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as rules see it."""

    role: Role
    method: str
    name: str
    """The object's key, or what SQS and EventBridge call their action."""
    text: bytes
    """Path, query and body: where an organisation's name stands."""
    if_match: bool = False
    if_none_match: bool = False

    def fits(self, which: Which) -> bool:
        """Whether the request is of that sort."""
        effect = self.method not in {"GET", "HEAD"}
        match which:
            case "effect":
                return effect
            case "read":
                return not effect
            case "conditional":
                return effect and (self.if_match or self.if_none_match)
            case "fenced":
                return effect and self.if_match and self.name.endswith(("/lock.json", "/latest.json"))
            case "source":
                return self.name.startswith("orgs/") and self.name.endswith("/contacts.db") and not effect
            case "delivery":
                return self.method == "PUT" and self.name.endswith(DELIVERED)
            case "manifest" | "chunk manifest" | "schedule manifest":
                is_chunk = "/tasks/chunk-" in self.name
                meant = which == "manifest" or is_chunk == (which == "chunk manifest")
                return self.method == "PUT" and self.name.endswith("/manifest.json") and meant
            case _:
                return True


@dataclass(frozen=True, slots=True)
class Rule:
    """Strikes requests number `nth` to `nth + times - 1` of those that fit."""

    kind: Kind
    role: Role
    org: str | None
    which: Which = "any"
    nth: int = 1
    times: int = 1
    delay_s: float = 0.0
    deed: str = ""
    """What is done at this moment; see play.py."""

    def __str__(self) -> str:
        where = f"{self.role} {self.which} #{self.nth}" + (f"-{self.nth + self.times - 1}" if self.times > 1 else "")
        what = self.kind + (f" {self.deed}" if self.deed else "") + (f" {self.delay_s:g} s" if self.delay_s else "")
        return f"{what} at {where}" + (f" of {self.org}" if self.org else "")

    def concerns(self, seen: Seen) -> bool:
        """Whether the rule counts this request."""
        named = self.org is None or self.org.encode() in seen.text
        return seen.role == self.role and named and seen.fits(self.which)


@dataclass
class RuleBook:
    """The rules in force; for any number of threads."""

    struck: Counter[str] = field(default_factory=Counter)
    """How often each kind of fault took effect."""
    log: list[str] = field(default_factory=list)
    """What struck, in words."""
    deeds: Callable[[str, str], bool] = lambda _deed, _org: False
    _armed: list[tuple[Rule, list[int]]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def arm(self, *rules: Rule) -> None:
        """Put rules in force, counting from now."""
        with self._lock:
            self._armed += [(rule, [0]) for rule in rules]

    def disarm(self) -> None:
        """No rule is in force any more."""
        with self._lock:
            self._armed.clear()

    def judge(self, seen: Seen) -> Rule | None:
        """Count the request, and name the rule that strikes it."""
        chosen = None
        with self._lock:
            for rule, count in self._armed:
                if rule.concerns(seen):
                    count[0] += 1
                    if chosen is None and rule.nth <= count[0] < rule.nth + rule.times:
                        chosen = rule
        return chosen

    def note(self, kind: str, what: str) -> None:
        """Something has really gone wrong."""
        with self._lock:
            self.struck[kind] += 1
            self.log.append(what)
