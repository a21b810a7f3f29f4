"""What a machine made of its task, for its manifest."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from mailtide.contracts import MAX_PUT_BYTES, Delivered, DeliveredName, TaskDocument, Timings
from mailtide.errors import DatabaseError
from mailtide.machine import transfer
from mailtide.machine.parts_upload import upload_parts

type Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The objects that were delivered, and what the manifest says of them."""

    changed: bool
    delivered: tuple[Delivered, ...]
    report: dict[str, object]
    timings: Timings


class Laps:
    """Seconds since the last look."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def seconds(self) -> float:
        """Since this was called last, or made."""
        before, self._last = self._last, time.monotonic()
        return round(self._last - before, 3)


def deliver(client: httpx.Client, document: TaskDocument, name: DeliveredName, path: Path) -> Delivered:
    """Store a file under a name of the task, in parts where it has URLs for them. DatabaseError when it is too large for that."""
    size_bytes = path.stat().st_size
    parts = document.urls.deliver_parts.get(name)
    most_bytes = max(MAX_PUT_BYTES, parts.part_bytes * len(parts.put)) if parts else MAX_PUT_BYTES
    if size_bytes > most_bytes:
        raise DatabaseError(
            f"What the pass made ({name}) has {size_bytes / 1e9:.1f} GB; "
            f"at most {most_bytes / 1e9:.1f} GB can be delivered."
        )
    if parts is not None and parts.part_bytes < size_bytes <= parts.part_bytes * len(parts.put):
        etag, sha256, size_bytes = upload_parts(client, parts, path)
    else:
        etag, sha256, size_bytes = transfer.upload(client, document.urls.deliver_put[name], path)
    return Delivered(name=name, size_bytes=size_bytes, sha256=sha256, etag=etag)
