"""The ledger on DynamoDB (the layout of its items: docs/warmup-ledger.md).

A claim is one conditional update that needs no read. Every later step starts from the item as this process last saw it and
writes only what mailtide.warmup.ledger changes in it, on condition that the attributes it replaces are still the same; after a
refusal the step is decided anew from the present item. So a lost answer is recognised by the item, never by the error.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Literal

from mailtide.adapters.dynamodb.table import ConditionFailedError, Item, Table, Value, as_int
from mailtide.errors import TransientError
from mailtide.warmup import ledger as rules
from mailtide.warmup.contracts import DAY_MS, LedgerKey, LedgerView, RoundState, day_start_ms
from mailtide.warmup.ledger import LedgerItem, RoundEntry
from mailtide.warmup.outcomes import OutcomeWindow
from mailtide.warmup.ports import CLAIM_TTL_MS, Claim, ClaimAnswer, Mark, Outcome

LOOK_BACK_DAYS = 7
"""How far back the last 100 outcomes are carried on from."""
_ATTEMPTS = 12
_REMEMBERED = 20_000
_COUNTERS = {"u": "used", "s": "sent", "n": "unknown"}
_NUMBERS = {**_COUNTERS, "g": "target", "c": "next_ok_ms"}


def encode_key(key: LedgerKey) -> Item:
    """The key attributes of an item."""
    return {"p": f"{key.day.isoformat()}#{key.shard}", "m": key.mailbox_id}


def encode_item(item: LedgerItem) -> Item:
    """Every attribute but the key and the expiry of the item itself."""
    packed: Item = {name: getattr(item, field) for name, field in _NUMBERS.items() if getattr(item, field)}
    if item.window is not None:
        packed["o"] = item.window.to_bytes()
    if item.closed:
        packed["z"] = 1
    for number, entry in item.rounds.items():
        packed[f"r{number}"] = entry.state.value.encode() + bytes.fromhex(entry.token)
        if entry.state in rules.IN_FLIGHT:
            packed |= {f"e{number}": entry.expires_ms, f"w{number}": entry.own_next_ok_ms}
    return packed | {f"t{number}": tries for number, tries in item.tries.items()}


def decode_item(key: LedgerKey, packed: Item | None) -> LedgerItem:
    """What `encode_item` made; an untouched day for None."""
    packed = packed or {}
    rounds: dict[int, RoundEntry] = {}
    for name, value in packed.items():
        if name[0] == "r" and isinstance(value, bytes):
            number = int(name[1:])
            rounds[number] = RoundEntry(
                RoundState(value[:1].decode()),
                value[1:].hex(),
                as_int(packed, f"e{number}"),
                as_int(packed, f"w{number}"),
            )
    window = packed.get("o")
    return LedgerItem(
        key=key,
        target=as_int(packed, "g"),
        used=as_int(packed, "u"),
        sent=as_int(packed, "s"),
        unknown=as_int(packed, "n"),
        next_ok_ms=as_int(packed, "c"),
        rounds=rounds,
        tries={int(name[1:]): as_int(packed, name) for name in packed if name[0] == "t"},
        window=OutcomeWindow.from_bytes(window) if isinstance(window, bytes) else None,
        closed="z" in packed,
    )


class DynamoLedger:
    """Implements mailtide.warmup.ports.Ledger."""

    def __init__(self, table: Table, *, retention_days: int) -> None:
        self._table = table
        self._retention_days = retention_days
        self._lock = threading.Lock()
        self._seen: OrderedDict[LedgerKey, LedgerItem] = OrderedDict()

    def claim(self, claim: Claim, *, target: int, now_ms: int, next_ok_ms: int, day_end_ms: int) -> ClaimAnswer:
        """See mailtide.warmup.ports.Ledger."""

        def step(item: LedgerItem) -> tuple[LedgerItem, ClaimAnswer]:
            return rules.claim_round(
                item, claim, target=target, now_ms=now_ms, next_ok_ms=next_ok_ms, day_end_ms=day_end_ms
            )

        if now_ms >= day_end_ms or target <= 0:
            return step(self._read_item(claim.key))[1]
        for _ in range(_ATTEMPTS):
            try:
                after = self._claim_untaken(claim, target, now_ms, next_ok_ms)
            except ConditionFailedError as failed:
                item = decode_item(claim.key, failed.item)
            else:
                # What next_ok was is not told; it was not after `now_ms`, and so as good as none.
                return ClaimAnswer("held", next_ok_ms=next_ok_ms, tries=after.tries.get(claim.round, 0))
            changed, answer = step(item)
            if answer.outcome == "refused" or changed is item:
                self._remember(item)
                return answer
            if answer.taken_over and self._write(item, changed):
                return answer
        raise TransientError(f"claim {claim.key.mailbox_id}: the item changes too often")

    def _claim_untaken(self, claim: Claim, target: int, now_ms: int, next_ok_ms: int) -> LedgerItem:
        number = claim.round
        packed = self._table.update(
            encode_key(claim.key),
            f"SET r{number} = :round, e{number} = :expires, w{number} = :next, c = :next, g = :target, "
            "x = if_not_exists(x, :ttl) ADD u :one",
            f"attribute_not_exists(r{number}) AND attribute_not_exists(z) "
            "AND (attribute_not_exists(u) OR u < :target) AND (attribute_not_exists(c) OR c <= :now)",
            {
                ":round": RoundState.SENDING.value.encode() + bytes.fromhex(rules.short_token(claim.token)),
                ":expires": now_ms + CLAIM_TTL_MS,
                ":next": next_ok_ms,
                ":target": target,
                ":ttl": self._ttl_s(claim.key.day),
                ":one": 1,
                ":now": now_ms,
            },
        )
        item = decode_item(claim.key, packed)
        self._remember(item)
        return item

    def begin_data(self, claim: Claim, *, now_ms: int, next_ok_ms: int) -> bool:
        """See mailtide.warmup.ports.Ledger."""
        return self._step(claim.key, lambda item: rules.begin_data(item, claim, now_ms=now_ms, next_ok_ms=next_ok_ms))

    def finish(self, claim: Claim, outcome: Outcome, *, mark: Mark | None = None) -> bool:
        """See mailtide.warmup.ports.Ledger."""
        return self._step(
            claim.key,
            lambda item: rules.finish(item, claim, outcome, mark=mark, earlier=self._earlier(item, mark)),
        )

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
        return self._step(
            claim.key,
            lambda item: rules.give_back(
                item,
                claim,
                answer,
                refused=refused,
                next_ok_ms=next_ok_ms,
                mark=mark,
                earlier=self._earlier(item, mark),
            ),
        )

    def expire(self, view: LedgerView, *, now_ms: int) -> LedgerView:
        """See mailtide.warmup.ports.Ledger."""
        return self._rewrite(view.key, lambda item: rules.expire(item, now_ms))

    def settle(self, key: LedgerKey, number: int, outcome: Literal["sent", "sent_reply", "failed"]) -> bool:
        """See mailtide.warmup.ports.Ledger."""
        return self._step(key, lambda item: rules.settle(item, number, outcome))

    def close(self, view: LedgerView, *, target: int, rounds: int, now_ms: int) -> LedgerView:
        """See mailtide.warmup.ports.Ledger."""
        return self._rewrite(view.key, lambda item: rules.close(item, target=target, rounds=rounds, now_ms=now_ms))

    def read(self, key: LedgerKey) -> LedgerView | None:
        """See mailtide.warmup.ports.Ledger."""
        packed = self._table.get(encode_key(key))
        return decode_item(key, packed).view() if packed else None

    def read_shard(self, day: date, shard: int) -> dict[str, LedgerView]:
        """See mailtide.warmup.ports.Ledger."""
        partition = encode_key(LedgerKey(day, shard, ""))["p"]
        views: dict[str, LedgerView] = {}
        for packed in self._table.query("p = :p", {":p": partition}):
            mailbox_id = str(packed["m"])
            views[mailbox_id] = decode_item(LedgerKey(day, shard, mailbox_id), packed).view()
        return views

    def _rewrite(self, key: LedgerKey, change: Callable[[LedgerItem], LedgerItem]) -> LedgerView:
        def step(item: LedgerItem) -> tuple[LedgerItem, LedgerView]:
            changed = change(item)
            return changed, changed.view()

        return self._step(key, step, fresh=True)

    def _step[Answer](
        self, key: LedgerKey, step: Callable[[LedgerItem], tuple[LedgerItem, Answer]], *, fresh: bool = False
    ) -> Answer:
        """Write what `step` changes. An item from memory will do to write on (its condition protects), not to say no on."""
        item = None if fresh else self._recall(key)
        is_present = item is None
        for _ in range(_ATTEMPTS):
            item = item or self._read_item(key)
            changed, answer = step(item)
            if changed != item:
                if self._write(item, changed):
                    return answer
            elif is_present:
                return answer
            item, is_present = None, True
        raise TransientError(f"ledger {key.mailbox_id}: the item changes too often")

    def _write(self, before: LedgerItem, after: LedgerItem) -> bool:
        """One conditional update from one item to the other; False when what it replaces has changed meanwhile."""
        key = before.key
        update, condition, values = difference(before, after, ttl_s=self._ttl_s(key.day))
        try:
            packed = self._table.update(encode_key(key), update, condition, values)
        except ConditionFailedError:
            self._forget(key)
            return False
        self._remember(decode_item(key, packed))
        return True

    def _earlier(self, item: LedgerItem, mark: Mark | None) -> OutcomeWindow | None:
        """The outcomes of the last day that had any, when this day has none yet and one is about to come."""
        if mark is None or item.window is not None:
            return None
        days = [item.key.day - timedelta(days=back) for back in range(1, LOOK_BACK_DAYS + 1)]
        found = self._table.get_many([encode_key(replace(item.key, day=day)) for day in days])
        latest = max((packed for packed in found if "o" in packed), key=lambda packed: str(packed["p"]), default=None)
        return decode_item(item.key, latest).window

    def _ttl_s(self, day: date) -> int:
        return (day_start_ms(day) + DAY_MS * (1 + self._retention_days)) // 1000

    def _read_item(self, key: LedgerKey) -> LedgerItem:
        return decode_item(key, self._table.get(encode_key(key)))

    def _remember(self, item: LedgerItem) -> None:
        with self._lock:
            self._seen[item.key] = item
            self._seen.move_to_end(item.key)
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)

    def _recall(self, key: LedgerKey) -> LedgerItem | None:
        with self._lock:
            return self._seen.get(key)

    def _forget(self, key: LedgerKey) -> None:
        with self._lock:
            self._seen.pop(key, None)


def difference(before: LedgerItem, after: LedgerItem, *, ttl_s: int) -> tuple[str, str | None, dict[str, Value]]:
    """Update expression, condition and values that turn one item into the other.

    Counters are added to, so that other rounds may change them meanwhile; everything else must still be what it was before.
    Expiry and own next_ok of a round go with its state and need no condition of their own, nor does `g`: it is the day's.
    """
    old, new = encode_item(before), encode_item(after)
    sets, removes, adds, conditions = ["x = if_not_exists(x, :ttl)"], [], [], []
    values: dict[str, Value] = {":ttl": ttl_s}
    for name in sorted({*old, *new}):
        if old.get(name) == new.get(name):
            continue
        if name in _COUNTERS:
            values[f":{name}"] = as_int(new, name) - as_int(old, name)
            adds.append(f"{name} :{name}")
            continue
        if name in new:
            values[f":{name}"] = new[name]
            sets.append(f"{name} = :{name}")
        else:
            removes.append(name)
        if name[0] not in "ewg":
            conditions.append(_unchanged(name, old, values))
    parts = [
        ("SET", sets),
        ("REMOVE", removes),
        ("ADD", adds),
    ]
    update = " ".join(f"{verb} {', '.join(actions)}" for verb, actions in parts if actions)
    return update, " AND ".join(conditions) or None, values


def _unchanged(name: str, old: Item, values: dict[str, Value]) -> str:
    if name not in old:
        return f"attribute_not_exists({name})"
    values[f":was_{name}"] = old[name]
    return f"{name} = :was_{name}"
