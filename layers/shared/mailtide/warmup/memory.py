"""Everything that a whole day needs, in memory, on a clock that is set: for `mailtide warmup simulate` and for tests.

The ledger and the limits are the pure rules that the tables' conditions say too; they pass the same contract tests as those.
"""

import hashlib
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from heapq import heappop, heappush
from typing import Literal

from mailtide.errors import StaleWriteError
from mailtide.ports import ObjectInfo, StoredObject
from mailtide.warmup import ledger as rules
from mailtide.warmup.contracts import (
    DAY_MS,
    DomainTick,
    LedgerKey,
    LedgerView,
    Mailbox,
    MailboxProfile,
    MailboxStatus,
    RoundState,
    SendMessage,
    ShardTick,
    Standing,
    WarmupTick,
    standing_of,
)
from mailtide.warmup.limits import EDGE_MS, HOUR_MS, MINUTE_MS, GlobalLimits, Window, window_at
from mailtide.warmup.outcomes import OutcomeWindow
from mailtide.warmup.ports import Claim, ClaimAnswer, Grant, Mark, Outcome, QueueDepth, UserDemand

ENDLESS_PAST = datetime(1970, 1, 1, tzinfo=UTC)


class VirtualClock:
    """A clock that stands until it is set."""

    def __init__(self, now_ms: int) -> None:
        self.at_ms = now_ms

    def now_ms(self) -> int:
        """See mailtide.warmup.ports.WarmupClock."""
        return self.at_ms

    def monotonic_ms(self) -> int:
        """See mailtide.warmup.ports.WarmupClock."""
        return self.at_ms


class MemoryObjects:
    """Implements mailtide.warmup.ports.Objects."""

    def __init__(self) -> None:
        self._objects: dict[str, StoredObject] = {}
        self._writes = 0

    def get(self, key: str) -> StoredObject | None:
        """See mailtide.warmup.ports.Objects."""
        return self._objects.get(key)

    def create(self, key: str, body: bytes) -> str:
        """See mailtide.warmup.ports.Objects."""
        if key in self._objects:
            raise StaleWriteError(f"create {key}: it exists")
        return self._store(key, body)

    def replace(self, key: str, body: bytes, *, expected_etag: str) -> str:
        """See mailtide.warmup.ports.Objects."""
        stored = self._objects.get(key)
        if stored is None or stored.etag != expected_etag:
            raise StaleWriteError(f"replace {key}: it has changed")
        return self._store(key, body)

    def _store(self, key: str, body: bytes) -> str:
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        self._objects[key] = StoredObject(body=body, etag=etag, last_modified=ENDLESS_PAST)
        return etag

    def delete(self, key: str) -> None:
        """See mailtide.warmup.ports.Objects."""
        self._objects.pop(key, None)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See mailtide.warmup.ports.Objects."""
        for key in sorted(key for key in self._objects if key.startswith(prefix)):
            stored = self._objects[key]
            yield ObjectInfo(key=key, etag=stored.etag, last_modified=stored.last_modified, size_bytes=len(stored.body))

    def list_folders(self, prefix: str) -> Iterator[str]:
        """See mailtide.warmup.ports.Objects."""
        rests = (key.removeprefix(prefix) for key in self._objects if key.startswith(prefix))
        yield from sorted({rest.partition("/")[0] for rest in rests if "/" in rest})


class MemoryMailboxes[M: MailboxProfile]:
    """Implements mailtide.warmup.ports.MailboxReader, and what changes within a day."""

    def __init__(self, profiles: Iterable[M]) -> None:
        self._profiles = {profile.mailbox_id: profile for profile in profiles}
        # Of each mailbox beside its profile: a simulated day asks fourteen million times, and each miss of the cache counts.
        self._standings = {mailbox_id: _standing(profile) for mailbox_id, profile in self._profiles.items()}

    def profiles(self) -> Iterator[M]:
        """See mailtide.warmup.ports.MailboxReader."""
        for mailbox_id, profile in self._profiles.items():
            status = self._standings[mailbox_id].status
            yield profile if status == profile.status else profile.model_copy(update={"status": status})

    def standings(self, mailbox_ids: Iterable[str]) -> dict[str, Standing]:
        """See mailtide.warmup.ports.MailboxReader."""
        known = self._standings
        return {mailbox_id: known[mailbox_id] for mailbox_id in mailbox_ids if mailbox_id in known}

    def is_active(self, mailbox_id: str) -> bool:
        """Whether its status is `active`."""
        standing = self._standings.get(mailbox_id)
        return standing is not None and standing.status == "active"

    def set_status(self, mailbox_id: str, status: MailboxStatus, reason: str) -> bool:  # noqa: ARG002 - the port's shape
        """See mailtide.warmup.ports.MailboxReader."""
        old = self._standings.get(mailbox_id)
        if old is None:
            return False
        if old.status != "paused" or status in {"active", "paused"}:
            self._standings[mailbox_id] = old.model_copy(update={"status": status})
        return True

    def park(self, mailbox_id: str, until_ms: int, reason: str) -> bool:  # noqa: ARG002 - the port's shape
        """See mailtide.warmup.ports.MailboxReader."""
        old = self._standings.get(mailbox_id)
        if old is None:
            return False
        parked_ms = max(old.not_before_ms, until_ms)
        self._standings[mailbox_id] = old.model_copy(update={"not_before_ms": parked_ms})
        return True


_STANDING: dict[MailboxStatus, Standing] = {
    status: Standing(status=status) for status in ("active", "paused", "disconnected", "quarantined")
}


def _standing(profile: MailboxProfile) -> Standing:
    """One object for all that stand alike; a profile alone names no server to read from."""
    return standing_of(profile) if isinstance(profile, Mailbox) else _STANDING[profile.status]


class MemoryLedger:
    """Implements mailtide.warmup.ports.Ledger by the pure rules."""

    def __init__(self) -> None:
        self._items: dict[tuple[date, int], dict[str, rules.LedgerItem]] = defaultdict(dict)
        self._views: dict[tuple[date, int], dict[str, LedgerView]] = defaultdict(dict)
        self._windows: dict[str, dict[date, OutcomeWindow]] = {}

    def _item(self, key: LedgerKey) -> rules.LedgerItem:
        item = self._items[key.day, key.shard].get(key.mailbox_id)
        return rules.LedgerItem(key=key) if item is None else item

    def _store(self, item: rules.LedgerItem) -> None:
        shard = (item.key.day, item.key.shard)
        self._items[shard][item.key.mailbox_id] = item
        self._views[shard].pop(item.key.mailbox_id, None)
        if item.window is not None:
            self._windows.setdefault(item.key.mailbox_id, {})[item.key.day] = item.window

    def _view(self, shard: tuple[date, int], mailbox_id: str) -> LedgerView:
        views = self._views[shard]
        if mailbox_id not in views:
            views[mailbox_id] = self._items[shard][mailbox_id].view()
        return views[mailbox_id]

    def _earlier(self, item: rules.LedgerItem) -> OutcomeWindow | None:
        windows = self._windows.get(item.key.mailbox_id, {})
        last = max((day for day in windows if day < item.key.day), default=None)
        return windows[last] if last else None

    def claim(self, claim: Claim, *, target: int, now_ms: int, next_ok_ms: int, day_end_ms: int) -> ClaimAnswer:
        """See mailtide.warmup.ports.Ledger."""
        old = self._item(claim.key)
        item, answer = rules.claim_round(
            old, claim, target=target, now_ms=now_ms, next_ok_ms=next_ok_ms, day_end_ms=day_end_ms
        )
        if item is not old:
            self._store(item)
        return answer

    def begin_data(self, claim: Claim, *, now_ms: int, next_ok_ms: int) -> bool:
        """See mailtide.warmup.ports.Ledger."""
        item, applied = rules.begin_data(self._item(claim.key), claim, now_ms=now_ms, next_ok_ms=next_ok_ms)
        return self._applied(item, claim.key, applied=applied)

    def finish(self, claim: Claim, outcome: Outcome, *, mark: Mark | None = None) -> bool:
        """See mailtide.warmup.ports.Ledger."""
        old = self._item(claim.key)
        item, applied = rules.finish(old, claim, outcome, mark=mark, earlier=self._earlier(old) if mark else None)
        return self._applied(item, claim.key, applied=applied)

    def give_back(
        self,
        claim: Claim,
        answer: ClaimAnswer,
        *,
        refused: bool,
        next_ok_ms: int | None = None,
        mark: Mark | None = None,
    ) -> bool:
        """See mailtide.warmup.ports.Ledger."""
        old = self._item(claim.key)
        item, applied = rules.give_back(
            old,
            claim,
            answer,
            refused=refused,
            next_ok_ms=next_ok_ms,
            mark=mark,
            earlier=self._earlier(old) if mark else None,
        )
        return self._applied(item, claim.key, applied=applied)

    def _applied(self, item: rules.LedgerItem, key: LedgerKey, *, applied: bool) -> bool:
        if applied and item is not self._items[key.day, key.shard].get(key.mailbox_id):
            self._store(item)
        return applied

    def expire(self, view: LedgerView, *, now_ms: int) -> LedgerView:
        """See mailtide.warmup.ports.Ledger."""
        self._store(rules.expire(self._item(view.key), now_ms))
        return self._view((view.key.day, view.key.shard), view.key.mailbox_id)

    def settle(self, key: LedgerKey, number: int, outcome: Literal["sent", "sent_reply", "failed"]) -> bool:
        """See mailtide.warmup.ports.Ledger."""
        item, applied = rules.settle(self._item(key), number, outcome)
        return self._applied(item, key, applied=applied)

    def close(self, view: LedgerView, *, target: int, rounds: int, now_ms: int) -> LedgerView:
        """See mailtide.warmup.ports.Ledger."""
        self._store(rules.close(self._item(view.key), target=target, rounds=rounds, now_ms=now_ms))
        return self._view((view.key.day, view.key.shard), view.key.mailbox_id)

    def read(self, key: LedgerKey) -> LedgerView | None:
        """See mailtide.warmup.ports.Ledger."""
        shard = (key.day, key.shard)
        return self._view(shard, key.mailbox_id) if key.mailbox_id in self._items[shard] else None

    def state(self, key: LedgerKey, number: int) -> RoundState:
        """The state of one round, without a view of the others."""
        entry = self._item(key).entry(number)
        return entry.state if entry else RoundState.UNTAKEN

    def read_shard(self, day: date, shard: int) -> dict[str, LedgerView]:
        """See mailtide.warmup.ports.Ledger."""
        views, items = self._views[day, shard], self._items[day, shard]
        for mailbox_id in items.keys() - views.keys():
            views[mailbox_id] = items[mailbox_id].view()
        return dict(views)


class MemoryLimits:
    """Implements mailtide.warmup.ports.Limits."""

    def __init__(self, limits: GlobalLimits, *, user_hourly_limit: int, now_ms: Callable[[], int]) -> None:
        self.limits = limits
        self._user_hourly_limit = user_hourly_limit
        self._now_ms = now_ms
        self._global: Counter[tuple[str, int]] = Counter()
        self._users: Counter[tuple[str, int, int]] = Counter()

    def take(self, demand: Mapping[str, UserDemand]) -> Grant:
        """See mailtide.warmup.ports.Limits."""
        window = window_at(self._now_ms())
        minute_ms = window.start_ms - window.start_ms % MINUTE_MS
        used = [self._global[part] for part in _parts(window)]
        left = self.limits.room(*used)
        retry_ms = self.limits.next_chance_ms(window, used[0], used[1])
        counts: dict[str, int] = {}
        retries: dict[str, int] = {}
        for user, part in demand.items():
            if not left:
                retries[user] = retry_ms
                continue
            own, own_retry_ms = self._room(user, part, window)
            count = min(part.count, own, left)
            if count < part.count:
                retries[user] = own_retry_ms if own < min(part.count, left) else retry_ms
            if count:
                counts[user] = count
                left -= count
                self._users[user, HOUR_MS, window.hour_start_ms] += count
                self._users[user, DAY_MS, window.start_ms - window.start_ms % DAY_MS] += count
        for key in _parts(window):
            self._global[key] += sum(counts.values())
        self._forget(minute_ms)
        return Grant(
            counts=counts,
            valid_from_ms=window.valid_from_ms,
            valid_until_ms=window.valid_until_ms,
            retry_ms=retries,
        )

    def _room(self, user: str, part: UserDemand, window: Window) -> tuple[int, int]:
        """What the user's own limits leave, and when more may be had."""
        day_ms = window.start_ms - window.start_ms % DAY_MS
        of_day = part.day_limit - self._users[user, DAY_MS, day_ms]
        of_hour = self._user_hourly_limit - self._users[user, HOUR_MS, window.hour_start_ms]
        retry_ms = day_ms + DAY_MS if of_day <= of_hour else window.hour_start_ms + HOUR_MS
        return max(0, min(of_day, of_hour)), retry_ms + EDGE_MS

    def _forget(self, minute_ms: int) -> None:
        if len(self._global) > 10_000:
            self._global = Counter({key: n for key, n in self._global.items() if key[1] > minute_ms - 2 * HOUR_MS})


def _parts(window: Window) -> tuple[tuple[str, int], ...]:
    """The counters of a window: its hour, minute and half minute."""
    minute_ms = window.start_ms - window.start_ms % MINUTE_MS
    return ("hour", window.hour_start_ms), ("minute", minute_ms), ("half", window.start_ms)


class MemoryMailQueue:
    """Implements mailtide.warmup.ports.MailQueue; whoever simulates takes out what is visible."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._mails: list[tuple[int, int, SendMessage]] = []
        self._ticks: deque[ShardTick] = deque()
        self._plans: deque[WarmupTick] = deque()
        self.domains: list[DomainTick] = []
        self._number = 0

    def send_plan(self, tick: WarmupTick) -> None:
        """See mailtide.warmup.ports.MailQueue."""
        self._plans.append(tick)

    def send_ticks(self, ticks: Sequence[ShardTick]) -> None:
        """See mailtide.warmup.ports.MailQueue."""
        self._ticks.extend(ticks)

    def send_domains(self, tick: DomainTick) -> None:
        """See mailtide.warmup.ports.MailQueue."""
        self.domains.append(tick)

    def send_mails(self, mails: Sequence[tuple[SendMessage, int]]) -> None:
        """See mailtide.warmup.ports.MailQueue."""
        for mail, delay_s in mails:
            self._number += 1
            heappush(self._mails, (self._clock.at_ms + delay_s * 1000, self._number, mail))

    def depth(self) -> QueueDepth:
        """See mailtide.warmup.ports.MailQueue."""
        visible = sum(1 for at_ms, _, _ in self._mails if at_ms <= self._clock.at_ms)
        return QueueDepth(visible=visible, delayed=len(self._mails) - visible, in_flight=0)

    def take_ticks(self) -> list[ShardTick]:
        """All ticks, in order."""
        taken = list(self._ticks)
        self._ticks.clear()
        return taken

    def take_mails(self, limit: int) -> list[tuple[int, SendMessage]]:
        """Up to so many visible mails, each with the moment since which it has been visible."""
        taken: list[tuple[int, SendMessage]] = []
        while len(taken) < limit and self._mails and self._mails[0][0] <= self._clock.at_ms:
            at_ms, _, mail = heappop(self._mails)
            taken.append((at_ms, mail))
        return taken
