"""A chunk's candidates, from as much of the source as holds its contacts."""

import time
from pathlib import Path

import httpx

from mailtide.contracts import TaskDocument, Timings
from mailtide.database.id_range import IdRange
from mailtide.database.partial_file import open_partial
from mailtide.database.read_chunk import read_chunk
from mailtide.machine.chunks.chunk import propose_chunk
from mailtide.machine.chunks.report import ChunkReport
from mailtide.machine.delivery import Delivery, Laps, Say, deliver
from mailtide.machine.memory import limits_of
from mailtide.machine.transfer import ObjectReader
from mailtide.rules.config import load_rules


def deliver_chunk(client: httpx.Client, document: TaskDocument, folder: Path, say: Say) -> Delivery:
    """Read the chunk's part of the source, propose for its contacts, and store the candidates."""
    laps = Laps()
    task, rules = document.task, load_rules(document.rules_yaml)
    reader = ObjectReader(client, document.urls.source_get, document.source.etag, document.source.size_bytes)
    with open_partial(reader, folder / "contacts.db") as source:
        read = read_chunk(source, IdRange(task.first_id, task.last_id), task.threads)
        file = source.file
    whole_s = laps.seconds()
    fetch_s = round(min(file.fetch_s, whole_s), 3)
    say(f"fetched {file.bytes_read} of {file.size_bytes} bytes by {file.requests} requests in {fetch_s:.2f} s")
    start_s = time.monotonic()
    made = propose_chunk(document, rules, read, task.threads, limits_of(document))
    decide_s = round(time.monotonic() - start_s, 3)
    say(
        f"proposed {made.candidates} mails for {made.header.eligible} of {made.header.rows} contacts in {decide_s:.2f} s"
    )
    path = folder / "candidates.bin"
    path.write_bytes(made.data)
    laps.seconds()
    delivered = deliver(client, document, "candidates.bin", path)
    deliver_s = laps.seconds()
    say(f"delivered {delivered.size_bytes} bytes in {deliver_s:.2f} s")
    read_s = round(whole_s - fetch_s, 3)
    report = ChunkReport(
        as_of=document.as_of,
        run_id=document.run,
        rules_sha256=rules.sha256,
        threads=task.threads,
        first_id=task.first_id,
        last_id=task.last_id,
        contacts=made.header.rows,
        eligible=made.header.eligible,
        skipped_contacts=made.header.skipped_contacts,
        candidates=made.candidates,
        missed=made.missed,
        delivered_bytes=delivered.size_bytes,
        source_bytes=file.size_bytes,
        source_bytes_read=file.bytes_read,
        source_requests=file.requests,
        seconds={"read": read_s, "decide": decide_s, "total": round(read_s + decide_s, 3)},
    )
    return Delivery(
        changed=True,
        delivered=(delivered,),
        report=report.model_dump(mode="json"),
        timings=Timings(fetch_s=fetch_s, pass_s=report.seconds["total"], deliver_s=deliver_s),
    )
