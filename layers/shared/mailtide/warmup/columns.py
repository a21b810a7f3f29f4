"""Columns as one compact object: a JSON line with their names, types and lengths, then the values, little-endian, all deflated.

Columns are `array.array` of unsigned 2- or 4-byte numbers, or lists of ids (which hold no line breaks).
"""

import json
import sys
import zlib
from array import array
from collections.abc import Mapping

type Column = "array[int] | list[str]"

_MAGIC = b"mailtide-columns-1\n"
_SIZES = {"H": 2, "I": 4}
_MAX_BYTES = 256 * 1024 * 1024


def pack(columns: Mapping[str, Column]) -> bytes:
    """The columns as bytes; the same columns give the same bytes."""
    head, blocks = [], []
    for name, column in columns.items():
        block = "\n".join(column).encode() if isinstance(column, list) else _little_endian(column).tobytes()
        kind = "text" if isinstance(column, list) else column.typecode
        head.append({"name": name, "kind": kind, "rows": len(column), "bytes": len(block)})
        blocks.append(block)
    return _MAGIC + zlib.compress(json.dumps(head).encode() + b"\n" + b"".join(blocks), 3)


def unpack(body: bytes) -> dict[str, Column]:
    """The columns of `pack`. ValueError when the object is something else or incomplete."""
    if not body.startswith(_MAGIC):
        raise ValueError("The object holds no columns of the warm-up.")
    inflater = zlib.decompressobj()
    content = memoryview(inflater.decompress(body[len(_MAGIC) :], _MAX_BYTES))
    if not inflater.eof:
        raise ValueError("The columns of the warm-up are cut off or too large.")
    start = bytes(content).index(b"\n") + 1
    columns: dict[str, Column] = {}
    for entry in json.loads(bytes(content[: start - 1])):
        block = content[start : start + entry["bytes"]]
        columns[entry["name"]] = _column(entry["kind"], block, entry["rows"])
        start += entry["bytes"]
    return columns


def _column(kind: str, block: memoryview, rows: int) -> Column:
    column: Column
    if kind == "text":
        column = bytes(block).decode().split("\n") if rows else []
    else:
        if array(kind).itemsize != _SIZES[kind]:
            raise ValueError("This platform's integers have other sizes than the columns.")
        values: array[int] = array(kind)
        values.frombytes(block)
        column = _little_endian(values)
    if len(column) != rows:
        raise ValueError("The columns of the warm-up are cut off.")
    return column


def _little_endian(values: "array[int]") -> "array[int]":
    if sys.byteorder == "little":
        return values
    swapped = values[:]
    swapped.byteswap()
    return swapped
