"""Visits on DynamoDB: one item a mailbox in the table of the reader, two writes a visit.

`t` and `e`: the lease's token and its end (ms). `d`: the token of the visit that ended last, by which a repeated end is known.
`j`: cursors, awaited, unsent and unsettled as JSON. `l`: looked until. `a`: access. `f`, `w`: failures and why. `b`: not before.
`x`: forgotten by then.
"""

import json
from collections.abc import Iterable
from typing import Any, get_args

from mailtide.adapters.dynamodb.table import ConditionFailedError, Item, Table, as_int
from mailtide.warmup.contracts import DAY_MS
from mailtide.warmup.ids import hash64
from mailtide.warmup.reading.contracts import Failure, FolderCursor, FoundAs, VisitState
from mailtide.warmup.reading.ports import VISIT_TTL_MS

PARTITIONS = 256
"""100,000 mailboxes that are visited every ten minutes write two or three times a second into each."""
_FAILURES: dict[object, Failure] = {failure: failure for failure in get_args(Failure.__value__)}


def encode_visit_key(mailbox_id: str) -> Item:
    """The key attributes of a mailbox's item; no partition of placements, whose names begin with a day, is named so."""
    return {"p": f"v{hash64('partition', mailbox_id) % PARTITIONS:02x}", "m": mailbox_id}


def encode_visit(state: VisitState) -> str:
    """The parts that have no attribute of their own."""
    cursors = {name: [cursor.uidvalidity, cursor.next_uid] for name, cursor in state.cursors.items()}
    parts = [cursors, dict(state.awaited), sorted(state.unsent), dict(state.unsettled)]
    return json.dumps(parts, separators=(",", ":"), ensure_ascii=False)


def decode_visit(item: Item) -> VisitState:
    """What a visit left."""
    cursors, awaited, unsent, unsettled = _decode(str(item.get("j", "")))
    return VisitState(
        mailbox_id=str(item["m"]),
        cursors=cursors,
        awaited=awaited,
        unsent=unsent,
        unsettled=unsettled,
        looked_until_ms=as_int(item, "l"),
        access=str(item.get("a", "")),
        failures=as_int(item, "f"),
        failure=_FAILURES.get(item.get("w")),
        not_before_ms=as_int(item, "b"),
    )


def _decode(text: str) -> tuple[dict[str, FolderCursor], dict[str, int], frozenset[str], dict[str, FoundAs]]:
    packed: Any = json.loads(text) if text else [{}, {}, []]
    cursors = {name: FolderCursor(*numbers) for name, numbers in packed[0].items()}
    # Items that were written before there was a fourth part have three.
    return cursors, packed[1], frozenset(packed[2]), packed[3] if len(packed) > 3 else {}


class DynamoVisits:
    """Implements mailtide.warmup.reading.ports.Visits."""

    def __init__(self, table: Table, *, retention_days: int) -> None:
        """retention_days: a mailbox that nobody visited for so long is as one that nobody ever visited."""
        self._table = table
        self._retention_days = retention_days

    def begin(self, mailbox_id: str, token: str, *, now_ms: int, access: str = "") -> VisitState | None:
        """See mailtide.warmup.reading.ports.Visits."""
        try:
            item = self._table.update(
                encode_visit_key(mailbox_id),
                "SET t = :token, e = :ends, x = :ttl",
                "(attribute_not_exists(e) OR e <= :now OR t = :token) "
                "AND (attribute_not_exists(b) OR b <= :now OR a <> :access)",
                {
                    ":token": token,
                    ":ends": now_ms + VISIT_TTL_MS,
                    ":ttl": self._ttl_s(now_ms),
                    ":now": now_ms,
                    ":access": access,
                },
            )
        except ConditionFailedError:
            return None
        return decode_visit(item)

    def end(self, state: VisitState, token: str) -> bool:
        """See mailtide.warmup.reading.ports.Visits."""
        values: Item = {
            ":token": token,
            ":json": encode_visit(state),
            ":looked": state.looked_until_ms,
            ":access": state.access,
            ":failures": state.failures,
            ":failure": state.failure or "",
            ":before": state.not_before_ms,
        }
        try:
            self._table.update(
                encode_visit_key(state.mailbox_id),
                "SET d = :token, j = :json, l = :looked, a = :access, f = :failures, w = :failure, b = :before "
                "REMOVE t, e",
                "t = :token",
                values,
            )
        except ConditionFailedError as failed:
            # A first request may have got through, and its answer been lost.
            return failed.item is not None and failed.item.get("d") == token
        return True

    def read_many(self, mailbox_ids: Iterable[str]) -> dict[str, VisitState]:
        """See mailtide.warmup.reading.ports.Visits."""
        keys = [encode_visit_key(mailbox_id) for mailbox_id in dict.fromkeys(mailbox_ids)]
        return {str(item["m"]): decode_visit(item) for item in self._table.get_many(keys) if "j" in item}

    def _ttl_s(self, now_ms: int) -> int:
        return (now_ms + DAY_MS * self._retention_days) // 1000
