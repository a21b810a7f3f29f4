"""One machine as the API shows it: states, events and what a wait sees of them."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localstack.fly.faults import Hidden, MachineFault
from localstack.fly.lease import LeaseBook

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SETTLED = frozenset({"started", "stopped", "suspended", "destroyed", "failed"})
_SUMMARY = ("id", "name", "state", "region", "instance_id", "created_at", "updated_at")


def ulid() -> str:
    """A 26-character id that sorts by time, as versions and events have."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def now() -> str:
    """The time as the API writes it."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


@dataclass
class Machine:
    """A machine; `config` has its defaults filled in. Everything happens on one event loop, so nothing is locked."""

    app: str
    name: str
    region: str
    config: dict[str, Any]
    command: list[str]
    log_dir: Path
    faults: list[MachineFault]
    id: str = field(default_factory=lambda: secrets.token_hex(7))
    state: str = "created"
    instance_id: str = field(default_factory=ulid)
    created_at: str = field(default_factory=now)
    updated_at: str = field(default_factory=now)
    events: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    vanished: bool = False
    pid: int | None = None
    hidden_until: float = 0.0
    struck: list[str] = field(default_factory=list)
    """Kinds of its faults that took effect: one that comes too late does not."""
    lease: LeaseBook = field(init=False)
    _history: list[tuple[str, str]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.lease = LeaseBook(self.id)
        self.versions.append({"version": self.instance_id, "user_config": self.config})
        hidden = [fault for fault in self.faults if isinstance(fault, Hidden)]
        hidden_s = max((fault.for_s for fault in hidden), default=0.0)
        self.struck += [fault.kind for fault in hidden]
        self.hidden_until = time.monotonic() + hidden_s

    @property
    def log(self) -> Path:
        """What its processes have written, standard output and error together."""
        return self.log_dir / f"{self.id}.log"

    @property
    def hidden(self) -> bool:
        """Whether the API does not know it yet, or no more."""
        return self.vanished or time.monotonic() < self.hidden_until

    @property
    def metadata(self) -> Mapping[str, str]:
        return self.config.get("metadata") or {}

    @property
    def memory_mb(self) -> int:
        return int(self.config["guest"]["memory_mb"])

    @property
    def gone(self) -> bool:
        return self.vanished or self.state == "destroyed"

    def moved(self, state: str, event: str, source: str = "flyd", request: dict[str, Any] | None = None) -> None:
        """Enter a state and record the event of it. A `request` of None is left out, where Fly sends null."""
        self.record(event, state, source, request)
        self.state = state
        self.updated_at = now()
        self._history.append((state, self.events[0]["id"]))
        self._changed.set()
        self._changed = asyncio.Event()

    def record(self, event: str, status: str, source: str = "flyd", request: dict[str, Any] | None = None) -> None:
        """An event without a change of state; the latest is the first."""
        row = {"id": ulid(), "type": event, "status": status, "source": source, "timestamp": int(time.time() * 1000)}
        self.events.insert(0, row | ({"request": request} if request is not None else {}))

    def new_version(self, config: dict[str, Any]) -> None:
        """Replace the configuration."""
        self.config = config
        self.instance_id = ulid()
        self.updated_at = now()
        self.versions.insert(0, {"version": self.instance_id, "user_config": config})

    async def wait_for(self, states: set[str], timeout_s: float, after_event: str | None = None) -> tuple[str, str]:
        """The first of the states seen from now on (or since an event), with its event; else TimeoutError."""
        wanted = SETTLED if "settled" in states else states
        seen = self._since(after_event)
        async with asyncio.timeout(timeout_s):
            while True:
                for state, event_id in self._history[seen:]:
                    if state in wanted:
                        return state, event_id
                seen = len(self._history)
                await self._changed.wait()

    def _since(self, event_id: str | None) -> int:
        ids = [found for _, found in self._history]
        if event_id in ids:
            return ids.index(event_id) + 1
        return max(0, len(self._history) - 1)

    def view(self, *, summary: bool = False) -> dict[str, Any]:
        """The machine as JSON."""
        shown = {key: getattr(self, key) for key in _SUMMARY}
        if summary:
            return shown
        registry, _, rest = self.config["image"].rpartition("/")
        repository, _, tag = rest.partition(":")
        return shown | {
            "private_ip": "fdaa:0:1::2",
            "config": self.config,
            "events": self.events,
            "checks": [],
            "host_status": "ok",
            "image_ref": {"registry": registry or "registry.fly.io", "repository": repository, "tag": tag or "latest"},
        }
