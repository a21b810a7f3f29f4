"""Cells of a b-tree, in order: each a template of its kind, with a few integers filled in."""

from dataclasses import dataclass, replace

import numpy as np

from mailtide.rules.columns import Int8, Int32, Int64, UInt8

_CHILD_BYTES = 4


@dataclass(frozen=True, slots=True)
class Field:
    """An integer that differs from cell to cell."""

    at: Int32
    """Where it stands in the cells of each template, shape (t,)."""
    width: Int8 | Int32
    """How many bytes it takes there, shape (t,)."""
    value: Int32 | Int64
    """Of each cell, shape (n,)."""
    is_varint: bool = False


@dataclass(frozen=True, slots=True)
class Cells:
    """n cells of t templates."""

    templates: UInt8
    """The bytes of each template and zeros behind them, shape (t, widest)."""
    size: Int32
    """Bytes of each template's cells, shape (t,)."""
    which: Int32
    """The template of each cell, shape (n,)."""
    fields: list[Field]

    def __len__(self) -> int:
        return len(self.which)

    def __getitem__(self, rows: Int64 | slice) -> "Cells":
        fields = [replace(field, value=field.value[rows]) for field in self.fields]
        return replace(self, which=self.which[rows], fields=fields)

    @staticmethod
    def of(templates: list[bytes], which: Int32, fields: list[Field]) -> "Cells":
        """Cells of templates that are given as bytes."""
        widest = max(map(len, templates))
        joined = b"".join(template.ljust(widest, b"\0") for template in templates)
        size = np.array([len(template) for template in templates], np.int32)
        return Cells(np.frombuffer(joined, np.uint8).reshape(len(templates), widest), size, which, fields)

    def with_children(self, pages: Int64) -> "Cells":
        """The same cells for interior pages: before each the number of the page on its left, shape (n,)."""
        count = len(self.templates)
        prefix = np.zeros((count, _CHILD_BYTES), np.uint8)
        fields = [replace(field, at=field.at + _CHILD_BYTES) for field in self.fields]
        child = Field(np.zeros(count, np.int32), np.full(count, _CHILD_BYTES, np.int32), pages)
        return Cells(np.hstack((prefix, self.templates)), self.size + _CHILD_BYTES, self.which, [child, *fields])

    def fill(self, out: UInt8, at: Int32) -> None:
        """Write all cells to the given places, ascending; `out` has room for the widest cell behind the last place."""
        widest = self.templates.shape[1]
        kind = np.dtype((np.void, widest))
        # Each cell is written as wide as the widest one: what is too much lies where the next one is written after it.
        places = np.ndarray((len(out) - widest + 1,), kind, out, strides=(1,))
        places[at] = np.ascontiguousarray(self.templates).view(kind)[:, 0][self.which]
        for field in self.fields:
            _fill(out, at + field.at[self.which], field.width[self.which], field)


def _fill(out: UInt8, at: Int32, width: Int8 | Int32, field: Field) -> None:
    for bytes_ in np.flatnonzero(np.bincount(width)).tolist():
        rows = np.flatnonzero(width == bytes_)
        place, value = at[rows], field.value[rows]
        for index in range(bytes_):
            rest = bytes_ - 1 - index
            plain, more = value >> 8 * rest & 0xFF, 0x80 if rest else 0
            out[place + index] = value >> 7 * rest & 0x7F | more if field.is_varint else plain
