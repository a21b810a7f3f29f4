"""What a machine delivers with a database: its changeset, the planned rows as Parquet, the digests of its blocks."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from mailtide.contracts import Delivered, DeliveredName, TaskDocument
from mailtide.database.blocks import blocks_of
from mailtide.database.changeset_apply import read_note
from mailtide.database.changeset_record import put_before
from mailtide.database.leave import Leave
from mailtide.machine.delivery import deliver


def leave_for(document: TaskDocument, folder: Path) -> Leave:
    """What the pass is to leave: whatever the task has a URL for."""

    def wanted(name: DeliveredName) -> Path | None:
        return folder / name if name in document.urls.deliver_put else None

    return Leave(wanted("schedule.changeset"), wanted("schedule.parquet"), always=document.sync != "replace")


def earlier_changes(leave: Leave) -> Path | None:
    """Where what feedback changes is told, for the changeset; None when there is to be none."""
    return None if leave.changeset is None else leave.changeset.with_name("feedback.changeset")


def deliver_all(client: httpx.Client, document: TaskDocument, database: Path, leave: Leave) -> tuple[Delivered, ...]:
    """Store the database and all that was left beside it; the database comes first in the result."""
    with ThreadPoolExecutor(2) as pool:
        beside = pool.submit(_deliver_beside, client, document, database, leave)
        return (deliver(client, document, "contacts.db", database), *beside.result())


def _deliver_beside(
    client: httpx.Client, document: TaskDocument, database: Path, leave: Leave
) -> tuple[Delivered, ...]:
    found: list[Delivered] = []
    if leave.changeset is not None and leave.changeset.exists():
        earlier = earlier_changes(leave)
        if earlier is not None and earlier.exists():
            put_before(leave.changeset, earlier)
        previous = read_note(leave.changeset).previous_run
        stored = deliver(client, document, "schedule.changeset", leave.changeset)
        found.append(stored.model_copy(update={"previous_run": previous}))
    if leave.export is not None and leave.export.exists():
        found.append(deliver(client, document, "schedule.parquet", leave.export))
    if "contacts.blocks" in document.urls.deliver_put:
        path = database.parent / "contacts.blocks"
        path.write_bytes(blocks_of(database).to_bytes())
        found.append(deliver(client, document, "contacts.blocks", path))
    return tuple(found)
