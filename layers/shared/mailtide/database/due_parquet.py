"""Due mails as a Parquet file. Needs pyarrow (the extra `parquet`)."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import date
from itertools import batched
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from mailtide.database.due import DueMail

SCHEMA = pa.schema(
    [
        pa.field("idempotency_key", pa.string(), nullable=False),
        pa.field("contact_id", pa.int64(), nullable=False),
        pa.field("email", pa.string(), nullable=False),
        pa.field("phone_number", pa.string()),
        pa.field("email_type", pa.string(), nullable=False),
        pa.field("event_date", pa.date32()),
        pa.field("campaign_instance_id", pa.int64(), nullable=False),
        pa.field("scheduled_send_date", pa.date32(), nullable=False),
        pa.field("scheduled_send_time", pa.string()),
        pa.field("priority", pa.int64(), nullable=False),
        pa.field("email_template", pa.string()),
        pa.field("sms_template", pa.string()),
    ]
)
_DATES = ("event_date", "scheduled_send_date")
_ROWS_A_GROUP = 50_000


def write_parquet(mails: Iterable[DueMail], sink: IO[bytes]) -> None:
    """Write all mails, with real dates; a day without mails gives a file with columns and no rows. `sink` need not seek."""
    with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), SCHEMA, compression="zstd") as writer:
        for group in batched(mails, _ROWS_A_GROUP, strict=False):
            writer.write_batch(pa.RecordBatch.from_pylist([_row(mail) for mail in group], schema=SCHEMA))


def _row(mail: DueMail) -> dict[str, object]:
    row = asdict(mail)
    return row | {name: date.fromisoformat(row[name]) for name in _DATES if row[name]}
