"""The planned rows of a schedule as a Parquet file. Needs pyarrow (the extra `parquet`)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mailtide.rules.columns import NO_CODE, Codes, Desired, Int64

_NAME = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        pa.field("contact_id", pa.int64(), nullable=False),
        pa.field("email_type", _NAME, nullable=False),
        pa.field("event_date", pa.date32(), nullable=False),
        pa.field("scheduled_send_date", pa.date32(), nullable=False),
        pa.field("scheduled_send_time", _NAME, nullable=False),
        pa.field("status", _NAME, nullable=False),
        pa.field("skip_reason", _NAME),
        pa.field("priority", pa.int64(), nullable=False),
        pa.field("campaign_instance_id", pa.int64(), nullable=False),
        pa.field("email_template", _NAME),
        pa.field("sms_template", _NAME),
    ]
)
_ROWS_A_GROUP = 500_000


def write_schedule(path: Path, ids: Int64, desired: Desired, send_time: str) -> None:
    """Write every planned row, by contact, with real dates.

    ids: contact ids, ascending; desired: the rows that should stand; send_time: of all of them.
    """
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for start in range(0, len(desired), _ROWS_A_GROUP):
            rows = slice(start, start + _ROWS_A_GROUP)
            writer.write_batch(_batch(ids, desired, send_time, rows))


def _batch(ids: Int64, desired: Desired, send_time: str, rows: slice) -> pa.RecordBatch:
    reason = desired.skip_reason[rows]
    columns = [
        pa.array(ids[desired.contact[rows]]),
        _named(desired.email_type[rows], desired.types),
        pa.array(desired.event[rows].astype(np.int32, copy=False)).cast(pa.date32()),
        pa.array(desired.send[rows].astype(np.int32, copy=False)).cast(pa.date32()),
        _named(np.zeros(len(reason), np.int32), [send_time]),
        _named((reason != NO_CODE).astype(np.int32), ["pre-scheduled", "skipped"]),
        _named(reason, desired.reasons),
        pa.array(desired.priority[rows].astype(np.int64, copy=False)),
        pa.array(desired.campaign[rows].astype(np.int64, copy=False)),
        _named(desired.email_template[rows], desired.templates),
        _named(desired.sms_template[rows], desired.templates),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _named(codes: Codes, names: Sequence[str]) -> pa.DictionaryArray:
    indices = pa.array(codes.astype(np.int32, copy=False), mask=codes == NO_CODE)
    return pa.DictionaryArray.from_arrays(indices, pa.array(names, pa.string()))
