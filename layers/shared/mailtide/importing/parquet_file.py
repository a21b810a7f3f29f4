"""Parquet row by row, in batches. Needs pyarrow (the extra `parquet`)."""

from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mailtide.errors import InputError
from mailtide.importing.records import Record, Records, Refusal, column_name

_ROWS_A_BATCH = 10_000

type Progress = Callable[[int], None]


def read_parquet(path: Path, known: set[str], progress: Progress) -> Records:
    """The columns and the rows of a Parquet file; only columns that are known are read.

    progress: called with rows read. Raises InputError when it is no Parquet file, or a column is not of single values.
    """
    try:
        file = pq.ParquetFile(path)
        fields = list(file.schema_arrow)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"The Parquet file cannot be read: {_first_line(error)}.") from error
    names = [column_name(field.name) for field in fields]
    for name, field in zip(names, fields, strict=True):
        if name in known and (pa.types.is_nested(field.type) or pa.types.is_binary(field.type)):
            raise InputError(
                f"The column {field.name!r} of the Parquet file holds {field.type}; a single value is needed."
            )
    return Records(names, _rows(file, names, known, progress))


def _rows(file: pq.ParquetFile, names: list[str], known: set[str], progress: Progress) -> Iterator[Record | Refusal]:
    number = 0
    try:
        for batch in file.iter_batches(_ROWS_A_BATCH, use_threads=False):
            empty: list[str | None] = [None] * batch.num_rows
            columns = [_texts(batch.column(place)) if name in known else empty for place, name in enumerate(names)]
            for values in zip(*columns, strict=True):
                number += 1
                yield Record(number, list(values))
            progress(number)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"The Parquet file is damaged after row {number:,}: {_first_line(error)}.") from error


def _texts(column: pa.Array) -> list[str | None]:
    if pa.types.is_timestamp(column.type):
        # Python's datetime has no nanoseconds.
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return [_text(value) for value in column.to_pylist()]


def _text(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() or None


def _first_line(error: BaseException) -> str:
    line = (str(error).splitlines() or [""])[0].rstrip(".")
    return "".join(char if char.isprintable() else "?" for char in line[:200])
