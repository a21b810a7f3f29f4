"""What a machine made of its task, for its manifest."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from mailtide.contracts import MAX_DELIVERED_BYTES, Delivered, DeliveredName, TaskDocument, Timings
from mailtide.errors import DatabaseError
from mailtide.machine import transfer

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
    """Store a file under a name of the task. DatabaseError when it is too large for one PUT."""
    if path.stat().st_size > MAX_DELIVERED_BYTES:
        raise DatabaseError(
            f"What the pass made ({name}) has {path.stat().st_size / 1e9:.1f} GB; "
            f"at most {MAX_DELIVERED_BYTES / 1e9:.1f} GB can be delivered."
        )
    etag, sha256, size_bytes = transfer.upload(client, document.urls.deliver_put[name], path)
    return Delivered(name=name, size_bytes=size_bytes, sha256=sha256, etag=etag)
