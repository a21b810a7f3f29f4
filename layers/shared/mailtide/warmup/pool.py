"""The roster's columns: the whole pool by index, which every dispatcher reads once a day, and one shard's share."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from mailtide.warmup.columns import Column, pack, unpack


@dataclass(frozen=True, slots=True)
class Pool:
    """All mailboxes of the day, by index: what pairing and replies need of the others."""

    mailbox_ids: list[str]
    targets: "array[int]"
    """Mails of the day (T)."""
    windows: "array[int]"
    """Position in RosterHeader.windows."""
    party_starts: "array[int]"
    """The index at which each party begins."""

    def to_bytes(self) -> bytes:
        """As stored under keys.pool."""
        columns: dict[str, Column] = {
            "mailbox": self.mailbox_ids,
            "target": self.targets,
            "window": self.windows,
            "party_start": self.party_starts,
        }
        return pack(columns)

    @classmethod
    def from_bytes(cls, body: bytes) -> "Pool":
        """ValueError when it is something else."""
        columns = unpack(body)
        return cls(
            _texts(columns, "mailbox"),
            _numbers(columns, "target"),
            _numbers(columns, "window"),
            _numbers(columns, "party_start"),
        )


@dataclass(frozen=True, slots=True)
class ShardMembers:
    """The mailboxes of one shard, and their users."""

    indexes: "array[int]"
    """Of the members, ascending."""
    users: "array[int]"
    """Of each member, its place in user_ids."""
    user_ids: list[str]
    user_planned: "array[int]"
    """Mails of the day of all mailboxes of each user, in whatever shard."""

    def to_bytes(self) -> bytes:
        """As stored under keys.shard."""
        columns: dict[str, Column] = {
            "index": self.indexes,
            "user": self.users,
            "user_id": self.user_ids,
            "user_planned": self.user_planned,
        }
        return pack(columns)

    @classmethod
    def from_bytes(cls, body: bytes) -> "ShardMembers":
        """ValueError when it is something else."""
        columns = unpack(body)
        return cls(
            _numbers(columns, "index"),
            _numbers(columns, "user"),
            _texts(columns, "user_id"),
            _numbers(columns, "user_planned"),
        )


def _numbers(columns: dict[str, Column], name: str) -> "array[int]":
    column = columns.get(name)
    if not isinstance(column, array):
        raise ValueError(f"The column {name!r} is missing.")
    return column


def _texts(columns: dict[str, Column], name: str) -> list[str]:
    column = columns.get(name)
    if not isinstance(column, list):
        raise ValueError(f"The column {name!r} is missing.")
    return column


def user_day_limit(planned: int, cap: float) -> int:
    """Starts of sends that a user may have on a day: cap × the planned mails, rounded down."""
    return int(planned * cap + 1e-9)


def split(shards: Sequence[int], users: Sequence[str], planned: dict[str, int], count: int) -> list[ShardMembers]:
    """The shares of all `count` shards. shards, users: of each mailbox by index. planned: mails of the day by user."""
    indexes = [array("I") for _ in range(count)]
    for index, shard in enumerate(shards):
        indexes[shard].append(index)
    return [_members(of_shard, users, planned) for of_shard in indexes]


def _members(indexes: "array[int]", users: Sequence[str], planned: dict[str, int]) -> ShardMembers:
    user_ids = sorted({users[i] for i in indexes})
    place = {user: i for i, user in enumerate(user_ids)}
    return ShardMembers(
        indexes,
        array("I", (place[users[i]] for i in indexes)),
        user_ids,
        array("I", (planned[user] for user in user_ids)),
    )
