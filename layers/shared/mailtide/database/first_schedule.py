"""The first schedule of a file, written as whole b-trees: what SQLite would make of the same rows, several times as fast."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from mailtide.database.building.direct import past_the_cache
from mailtide.database.building.encode import DAY
from mailtide.database.building.schedule import (
    MAX_GROUPS,
    CannotBuildError,
    Rows,
    Shared,
    due_cells,
    key_cells,
    narrow,
    rowids,
    table_cells,
)
from mailtide.database.building.tree import INDEX_LEAF, TABLE_LEAF, PageWriter, build_tree
from mailtide.database.grouping import grouped
from mailtide.database.header import HEADER_BYTES, read_header
from mailtide.database.locked import LockedFile
from mailtide.database.schedules_schema import DUE_INDEX, KEY_INDEX
from mailtide.database.untrusted import clear_errors, open_untrusted
from mailtide.database.write import CONSTANTS, RowConstants
from mailtide.rules.columns import NO_CODE, Desired, Int32, Int64

_SCHEMA_FORMAT_AT, _CHANGES_AT, _PAGES_AT, _VALID_FOR_AT = 44, 24, 28, 92
_FORMAT_WITH_SHORT_INTEGERS = 4
_TYPE, _CAMPAIGN, _STATUS = (CONSTANTS.index(name) for name in ("email_type", "campaign_instance_id", "status"))
_TABLE = "email_schedules"

_PIECE_ROWS = 1 << 18

type Load = Callable[[Path, int], None]
"""Adds the rows to a closed copy; is given its path and a descriptor of it."""


def first_schedule(
    locked: LockedFile,
    ids: Int64,
    desired: Desired,
    send_time: str,
    stamp: tuple[str, str],
    threads: int,
    *,
    is_read: bool,
) -> Load | None:
    """How to write the rows into a file that has no schedule yet; None where SQLite must write them.

    The file then has the empty tables and indexes already. ids: contact ids, ascending; stamp: run id and time.
    is_read: whether the file is read again at once, so that its pages are worth the kernel's memory.
    """
    header = locked.header
    head = os.pread(locked.content_descriptor, HEADER_BYTES, 0)
    fits = (
        locked.schema.get(_TABLE) is None
        and len(desired) > 0
        and header.codec == "utf-8"
        and not header.auto_vacuum
        and header.usable_size == header.page_size
        and _number(head, _SCHEMA_FORMAT_AT) == _FORMAT_WITH_SHORT_INTEGERS
        # What looks like a number would be stored as one.
        and ":" in send_time
    )
    if not fits:
        return None
    builder = _Builder(
        ids, desired, RowConstants(desired, send_time, stamp), header.page_size, threads, is_read=is_read
    )
    try:
        builder.check()
    except CannotBuildError:
        return None
    return builder.load


def _number(head: bytes, offset: int) -> int:
    return int.from_bytes(head[offset : offset + 4], "big")


class _Builder:
    """Makes the table and its two indexes, one after the other."""

    def __init__(
        self, ids: Int64, desired: Desired, constants: RowConstants, page_size: int, threads: int, *, is_read: bool
    ) -> None:
        self._desired, self._constants, self._threads, self._is_read = desired, constants, threads, is_read
        self._contact = narrow(ids)[desired.contact]
        self._groups = _key_groups(desired)
        self._max_table_bytes = page_size - 35
        self._max_index_bytes = (page_size - 12) * 64 // 255 - 23

    def _whole_rows(self) -> Shared:
        rows = self._desired
        columns = (
            rows.email_type, rows.skip_reason, rows.priority, rows.campaign, rows.email_template, rows.sms_template,
        )  # fmt: skip

        def values(indexes: Int32 | Int64) -> Iterator[tuple[Any, ...]]:
            # created_at stands before updated_at, and nothing was sent yet.
            return ((kind, DAY, DAY, *others, others[-1], None) for kind, _, _, *others in self._constants.of(indexes))

        return Shared(
            lambda indexes: [column[indexes] for column in columns],
            values,
            lambda indexes: (rows.event[indexes], rows.send[indexes]),
        )

    def _keys(self) -> Shared:
        rows = self._desired
        return Shared(
            lambda indexes: (rows.email_type[indexes], rows.campaign[indexes]),
            lambda indexes: ((values[_TYPE], DAY, values[_CAMPAIGN]) for values in self._constants.of(indexes)),
            lambda indexes: (rows.event[indexes],),
        )

    def _dues(self) -> Shared:
        rows = self._desired
        return Shared(
            lambda indexes: (rows.skip_reason[indexes] == NO_CODE,),
            lambda indexes: ((values[_STATUS], DAY) for values in self._constants.of(indexes)),
            lambda indexes: (rows.send[indexes],),
        )

    def check(self) -> None:
        """Raise CannotBuildError where a row could be too long for a page."""
        rows = self._desired
        texts = [max((len(text.encode()) for text in texts), default=0) for texts in (rows.types, rows.reasons)]
        template = max((len(text.encode()) for text in rows.templates), default=0)
        fixed = 2 * sum(map(len, self._constants.stamp)) + 200
        if fixed + sum(texts) + 2 * template > self._max_table_bytes or texts[0] + 60 > self._max_index_bytes:
            raise CannotBuildError
        if int(self._groups.max()) >= MAX_GROUPS:
            raise CannotBuildError

    def load(self, path: Path, descriptor: int) -> None:
        """Write the rows into the pages of a closed file whose tables are empty."""
        header = read_header(os.pread(descriptor, HEADER_BYTES, 0), os.fstat(descriptor).st_size)
        roots = _roots(path)
        file = PageWriter(descriptor, header.page_size, header.page_count)
        unread = nullcontext() if self._is_read else past_the_cache(descriptor, header.page_size)
        with unread, ThreadPoolExecutor(self._threads) as pool:
            rowid = self._build_by_date(file, roots, pool)
            cells = key_cells(self._contact, rowid, self._groups, self._keys(), self._max_index_bytes)
            build_tree(file, cells, INDEX_LEAF, roots[KEY_INDEX], pool)
        _finish_header(file)

    def _build_by_date(self, file: PageWriter, roots: dict[str, int], pool: ThreadPoolExecutor) -> Int32 | Int64:
        """Build the table and the index that is sorted like it; returns the row id of each desired row."""
        order, starts = grouped(self._desired, None, pool)
        new = np.zeros(len(order), np.bool_)
        new[starts] = True
        rows = Rows(order, _in_pieces(pool, order, lambda piece: self._contact[piece]), new)
        cells = table_cells(rows, self._whole_rows(), self._max_table_bytes)
        rowid = rowids(len(order))
        build_tree(file, cells, TABLE_LEAF, roots[_TABLE], pool, rowid)
        cells = due_cells(rows, self._dues(), self._max_index_bytes)
        build_tree(file, cells, INDEX_LEAF, roots[DUE_INDEX], pool)
        of_row = np.empty_like(rowid)

        def place(rows: slice) -> None:
            of_row[order[rows]] = rowid[rows]

        list(pool.map(place, _pieces(len(order))))
        return of_row


def _pieces(count: int) -> list[slice]:
    return [slice(start, start + _PIECE_ROWS) for start in range(0, count, _PIECE_ROWS)]


def _in_pieces(pool: Executor, given: Int32, work: Callable[[Int32], Int32 | Int64]) -> Int32 | Int64:
    """What `work` makes of an array, piece by piece and together again."""
    return np.concatenate(list(pool.map(lambda rows: work(given[rows]), _pieces(len(given)))))


def _key_groups(desired: Desired) -> Int32 | Int64:
    """A number from 0 on of each row, equal where type, event and campaign are."""
    spread = int(desired.event.max()) - (low := int(desired.event.min())) + 1
    if len(desired.types) * spread < MAX_GROUPS and not desired.campaign.any():
        small = desired.event - np.int32(low)
        for rows in _pieces(len(desired)):
            small[rows] += desired.email_type[rows] * np.int32(spread)
        return small
    groups = desired.email_type.astype(np.int64) * spread + (desired.event - low)
    ranks = np.unique(desired.campaign, return_inverse=True)[1]
    found: Int64 = np.unique(groups * (int(ranks.max()) + 1) + ranks, return_inverse=True)[1]
    return found


def _roots(path: Path) -> dict[str, int]:
    with clear_errors(), closing(open_untrusted(path)) as connection:
        found: list[Any] = connection.execute(
            "SELECT name, rootpage FROM main.sqlite_schema WHERE name IN (?, ?, ?)", (_TABLE, DUE_INDEX, KEY_INDEX)
        ).fetchall()
    return {str(name): int(root) for name, root in found}


def _finish_header(file: PageWriter) -> None:
    """Write the new number of pages, and that the file has changed."""
    head = os.pread(file.descriptor, HEADER_BYTES, 0)
    changes = ((_number(head, _CHANGES_AT) + 1) & 0xFFFF_FFFF).to_bytes(4)
    os.pwrite(file.descriptor, changes + file.page_count.to_bytes(4), _CHANGES_AT)
    os.pwrite(file.descriptor, changes, _VALID_FOR_AT)
    os.ftruncate(file.descriptor, file.page_count * file.page_size)
