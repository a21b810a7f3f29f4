"""A VFS that notes every write, and what of them a disk holds when the power fails at any instant."""

import random
from collections.abc import Buffer
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import apsw

SECTOR_BYTES = 512
BENEATH = "unix"

type Fate = Literal["dropped", "kept", "torn"]
"""What becomes of writes that were not synchronised: none of them, all of them, or any of their sectors."""


@dataclass(frozen=True, slots=True)
class Change:
    """One call: write, truncate, sync, delete, or open (which makes an empty file where there was none)."""

    kind: str
    name: str
    offset: int = 0
    data: bytes = b""


@dataclass(slots=True)
class Noted:
    """All calls on files, in their order, and the files as they were first opened."""

    before: dict[str, bytes] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    def add(self, kind: str, name: str, offset: int = 0, data: bytes = b"") -> None:
        """Note one call."""
        self.changes.append(Change(kind, name, offset, data))

    def disk_after(self, count: int, fate: Fate, chance: random.Random) -> dict[str, bytes]:
        """What the disk holds of each file after the first `count` calls."""
        synced = {name: bytearray(content) for name, content in self.before.items()}
        waiting: dict[str, list[Change]] = {}
        for change in self.changes[:count]:
            match change.kind:
                case "open":
                    synced.setdefault(change.name, bytearray())
                case "delete":
                    synced.pop(change.name, None)
                    waiting.pop(change.name, None)
                case "sync":
                    for one in waiting.pop(change.name, []):
                        _apply(synced[change.name], one)
                case _:
                    waiting.setdefault(change.name, []).append(change)
        lost = [part for changes in waiting.values() for one in changes for part in _parts(one, fate, chance)]
        for part in lost:
            _apply(synced[part.name], part)
        return {name: bytes(content) for name, content in synced.items()}


def _apply(content: bytearray, change: Change) -> None:
    if change.kind == "truncate":
        del content[change.offset :]
        return
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.data)] = change.data


def _parts(change: Change, fate: Fate, chance: random.Random) -> list[Change]:
    if fate == "dropped":
        return []
    if fate == "kept":
        return [change]
    if change.kind == "truncate":
        return [change] if chance.random() < 0.5 else []
    cuts = range(0, len(change.data), SECTOR_BYTES)
    sectors = [(change.offset + at, change.data[at : at + SECTOR_BYTES]) for at in cuts]
    return [Change("write", change.name, at, data) for at, data in sectors if chance.random() < 0.5]


class _NotedFile(apsw.VFSFile):
    def __init__(self, noted: Noted, name: Any, flags: list[int]) -> None:  # noqa: ANN401 - as apsw gives it
        self._noted = noted
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name or "")
        is_ours = bool(self._name) and flags[0] & (
            apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_WAL
        )
        if is_ours and self._name not in noted.before and Path(self._name).exists():
            noted.before[self._name] = Path(self._name).read_bytes()
        super().__init__(BENEATH, name, flags)
        self._is_noted = is_ours and bool(flags[1] & apsw.SQLITE_OPEN_READWRITE)
        if self._is_noted:
            noted.add("open", self._name)

    def xWrite(self, data: Buffer, offset: int) -> None:  # noqa: N802 - apsw's name
        super().xWrite(data, offset)
        if self._is_noted:
            self._noted.add("write", self._name, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - apsw's name
        super().xTruncate(newsize)
        if self._is_noted:
            self._noted.add("truncate", self._name, newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - apsw's name
        super().xSync(flags)
        if self._is_noted:
            self._noted.add("sync", self._name)


class NotingVFS(apsw.VFS):
    """The system's VFS, made the default one until it is unregistered."""

    def __init__(self, noted: Noted) -> None:
        self._noted = noted
        super().__init__("noting", BENEATH, makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: ANN401, N802 - apsw's
        return _NotedFile(self._noted, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - apsw's name
        super().xDelete(filename, syncdir)
        self._noted.add("delete", filename)
