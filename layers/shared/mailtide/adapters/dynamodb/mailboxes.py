"""The mailboxes on DynamoDB, in a fixed number of partitions, so that the whole pool can be read without a scan."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mailtide.adapters.dynamodb.table import ConditionFailedError, Item, Table, as_int
from mailtide.warmup.contracts import MAX_REASON, Mailbox, MailboxProfile, MailboxStatus, Standing, standing_of
from mailtide.warmup.ids import hash64
from mailtide.warmup.reading.fold_ports import KeptHealth, health_of

log = logging.getLogger("mailtide.mailboxes")

PARTITIONS = 64
"""Fixed for the life of the table: a mailbox is found by the hash of its id. Of 100,000 mailboxes each holds some 1,600, two
pages of a query, and far below what a partition carries."""
USER_INDEX = "by_user"
_PROFILE = frozenset(MailboxProfile.model_fields)
_MUTABLE = frozenset({"status", "status_reason", "not_before_ms", "provider"})
_OF_HEALTH = frozenset({"pace", "graduated_on", "held_back", "health"})
_APART = _MUTABLE | _OF_HEALTH
_WRITERS = 16
"""Records that are kept at once."""


def encode_mailbox(mailbox: Mailbox) -> Item:
    """The profile and the rest as JSON; what changes within a day in attributes of its own."""
    fields: dict[str, Any] = mailbox.model_dump(mode="json")
    profile = {name: value for name, value in fields.items() if name in _PROFILE - _APART}
    rest = {name: value for name, value in fields.items() if name not in _PROFILE | _APART}
    return {
        **encode_mailbox_key(mailbox.mailbox_id),
        "u": mailbox.user_id,
        "j": json.dumps(profile, separators=(",", ":")),
        "k": json.dumps(rest, separators=(",", ":")),
        "s": mailbox.status,
        "y": mailbox.status_reason,
        "b": mailbox.not_before_ms,
        "v": mailbox.provider,
        **_encode_read(mailbox),
        **{name: value for name, value in encode_health(health_of(mailbox)).items() if value != _FULL_PACE[name]},
    }


def encode_health(kept: KeptHealth) -> Item:
    """What the fold keeps; an item without one of them counts as having _FULL_PACE's."""
    return {
        "h": kept.health,
        "q": round(kept.pace * 100),
        "g": kept.graduated_on.isoformat() if kept.graduated_on else "",
        "w": kept.held_back[:MAX_REASON],
    }


_FULL_PACE: Item = {"h": "", "q": 100, "g": "", "w": ""}


def _decode_planned(item: Item) -> dict[str, Any]:
    """What planning knows of the health."""
    return {"pace": as_int(item, "q") / 100 if "q" in item else 1.0, "graduated_on": item.get("g") or None}


def _encode_read(mailbox: Mailbox) -> Item:
    """What dispatch knows of its IMAP server: nothing without one, 1: it is read, 2: and its replies wait for that."""
    standing = standing_of(mailbox)
    return {"i": 1 + standing.replies_wait} if standing.is_read else {}


def _decode_standing(item: Item) -> Standing:
    is_read, replies_wait = as_int(item, "i") >= 1, as_int(item, "i") >= 2
    return Standing.model_validate(
        {
            "status": item["s"],
            "not_before_ms": as_int(item, "b"),
            "is_read": is_read,
            "replies_wait": replies_wait,
            "held_back": item.get("w", ""),
        }
    )


def encode_mailbox_key(mailbox_id: str) -> Item:
    """The key attributes of a mailbox."""
    return {"p": f"{hash64('partition', mailbox_id) % PARTITIONS:02x}", "m": mailbox_id}


def decode_mailbox(item: Item) -> Mailbox:
    """What `encode_mailbox` made."""
    return Mailbox.model_validate(
        {
            **json.loads(str(item["j"])),
            **json.loads(str(item["k"])),
            "status": item["s"],
            "status_reason": item["y"],
            "not_before_ms": item["b"],
            "provider": item.get("v", ""),
            "held_back": item.get("w", ""),
            "health": item.get("h", ""),
            **_decode_planned(item),
        }
    )


def decode_profile(item: Item) -> MailboxProfile:
    """The part of `encode_mailbox` that planning knows; `j`, `s`, `v`, `q` and `g` are enough."""
    profile = {**json.loads(str(item["j"])), "status": item["s"], "provider": item.get("v", "")}
    return MailboxProfile.model_validate(profile | _decode_planned(item))


def _readable[Made](items: Iterable[Item], decode: Callable[[Item], Made]) -> Iterator[Made]:
    """Without those that cannot be read: one bad row must not stop the others' mails."""
    for item in items:
        try:
            made = decode(item)
        except (ValueError, KeyError, TypeError):
            # Never the error's own text: it quotes the row.
            log.warning("The mailbox %s cannot be read.", item.get("m"))
        else:
            yield made


class DynamoMailboxes:
    """Implements mailtide.warmup.ports.MailboxStore and mailtide.warmup.reading.fold_ports.HealthStore."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def put_many(self, mailboxes: Sequence[Mailbox]) -> None:
        """See mailtide.warmup.ports.MailboxStore. The last of several with one id counts."""
        latest = {mailbox.mailbox_id: mailbox for mailbox in mailboxes}
        self._table.put_many([encode_mailbox(mailbox) for mailbox in latest.values()])

    def get_many(self, mailbox_ids: Iterable[str]) -> dict[str, Mailbox]:
        """See mailtide.warmup.ports.MailboxStore."""
        items = self._table.get_many([encode_mailbox_key(mailbox_id) for mailbox_id in dict.fromkeys(mailbox_ids)])
        return {mailbox.mailbox_id: mailbox for mailbox in _readable(items, decode_mailbox)}

    def standings(self, mailbox_ids: Iterable[str]) -> dict[str, Standing]:
        """See mailtide.warmup.ports.MailboxStore."""
        keys = [encode_mailbox_key(mailbox_id) for mailbox_id in dict.fromkeys(mailbox_ids)]
        return {
            str(item["m"]): _decode_standing(item) for item in self._table.get_many(keys, projection="m, s, b, i, w")
        }

    def profiles(self) -> Iterator[MailboxProfile]:
        """See mailtide.warmup.ports.MailboxStore."""
        for partition in range(PARTITIONS):
            found = self._table.query("p = :p", {":p": f"{partition:02x}"}, projection="m, j, s, v, q, g")
            yield from _readable(found, decode_profile)

    def of_user(self, user_id: str) -> Iterator[Mailbox]:
        """See mailtide.warmup.ports.MailboxStore. One added within the last seconds may be missing."""
        keys = [
            {"p": item["p"], "m": item["m"]}
            for item in self._table.query("u = :u", {":u": user_id}, projection="p, m", index=USER_INDEX)
        ]
        found = _readable(self._table.get_many(keys), decode_mailbox)
        yield from sorted(found, key=lambda mailbox: mailbox.mailbox_id)

    def set_status(self, mailbox_id: str, status: MailboxStatus, reason: str) -> bool:
        """See mailtide.warmup.ports.MailboxStore."""
        condition = "attribute_exists(m)"
        values: Item = {":status": status, ":reason": reason[:MAX_REASON]}
        if status in {"disconnected", "quarantined"}:
            condition += " AND s <> :paused"
            values[":paused"] = "paused"
        return self._change(mailbox_id, "SET s = :status, y = :reason", condition, values)

    def park(self, mailbox_id: str, until_ms: int, reason: str) -> bool:
        """See mailtide.warmup.ports.MailboxStore."""
        return self._change(
            mailbox_id,
            "SET b = :until, y = :reason",
            "attribute_exists(m) AND b < :until",
            {":until": until_ms, ":reason": reason[:MAX_REASON]},
        )

    def set_provider(self, mailbox_id: str, provider: str) -> bool:
        """See mailtide.warmup.ports.MailboxStore."""
        return self._change(mailbox_id, "SET v = :provider", "attribute_exists(m)", {":provider": provider})

    def keep_health(self, kept: Sequence[KeptHealth]) -> list[str]:
        """See mailtide.warmup.reading.fold_ports.HealthStore. A shard's thousand take a few seconds, side by side."""
        with ThreadPoolExecutor(_WRITERS, thread_name_prefix="health") as threads:
            done = list(threads.map(self._keep, kept))
        return [each.mailbox_id for each, is_kept in zip(kept, done, strict=True) if not is_kept]

    def _keep(self, kept: KeptHealth) -> bool:
        stands = "h = :before" if kept.before else "attribute_not_exists(h)"
        values = {f":{name}": value for name, value in encode_health(kept).items()}
        if kept.before:
            values[":before"] = kept.before
        try:
            self._table.update(
                encode_mailbox_key(kept.mailbox_id),
                "SET h = :h, q = :q, g = :g, w = :w",
                f"attribute_exists(m) AND {stands}",
                values,
            )
        except ConditionFailedError as failed:
            # A lost answer to this very request: it stands already.
            return failed.item is not None and failed.item.get("h") == kept.health
        return True

    def _change(self, mailbox_id: str, update: str, condition: str, values: Item) -> bool:
        try:
            self._table.update(encode_mailbox_key(mailbox_id), update, condition, values)
        except ConditionFailedError as failed:
            return failed.item is not None
        return True
