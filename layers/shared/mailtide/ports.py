"""What the use cases need from the world outside: small Protocols; their docstrings say how they fail.

Every method may also raise TransientError when the other side is out of order for the moment: the queue tries again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from mailtide.contracts import Message, RunFinished
from mailtide.machines import MachineInfo, MachineRequest, Setup, VolumeInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """What a HEAD or a listing says of an object."""

    key: str
    etag: str
    last_modified: datetime
    """UTC, whole seconds."""
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """A small object, read whole."""

    body: bytes
    etag: str
    last_modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedCopy:
    """A multipart copy whose parts stand ready; nothing is visible before it is completed."""

    upload_id: str
    part_etags: tuple[str, ...]
    expected_etag: str
    """The ETag that the object will have: MD5 over the parts' MD5 digests, then the number of parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresignedParts:
    """URLs of a multipart upload that has begun: one a part, and the one that completes it."""

    put: tuple[str, ...]
    complete: str


class Bucket(Protocol):
    """One bucket with conditional writes. Keys are plain text; ETags are kept without their quotes."""

    def head(self, key: str) -> ObjectInfo | None:
        """None when there is no such object."""

    def get(self, key: str) -> StoredObject | None:
        """The whole object; None when there is none. BudgetExceededError when it is larger than 32 MiB."""

    def get_range(self, key: str, offset: int, length: int, *, etag: str) -> bytes:
        """`length` bytes (fewer at the end). SourceChangedError when the object no longer has this ETag."""

    def first_part_size(self, key: str, *, etag: str) -> int | None:
        """Bytes of the first part of a multipart upload, None where the host does not tell. SourceChangedError."""

    def create(self, key: str, body: bytes) -> str:
        """The new ETag. StaleWriteError when the object exists already."""

    def replace(self, key: str, body: bytes, *, expected_etag: str) -> str:
        """The new ETag. StaleWriteError when the object has another ETag or is gone."""

    def delete(self, key: str) -> None:
        """Gone afterwards; it need not have existed."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object below the prefix, by key."""

    def list_folders(self, prefix: str, *, after: str = "") -> Iterator[str]:
        """The names directly below the prefix that have objects below them, in the order of their keys (that of `name/`).

        after: only the names that follow this one. 1,000 are asked for at a time, when they are wanted.
        """

    def presign_get(self, key: str, *, expires_s: int, download_as: str | None = None) -> str:
        """A URL that reads the object. download_as: the name under which a browser keeps it."""

    def presign_put(self, key: str, *, expires_s: int, create_only: bool) -> str:
        """A URL that writes the object; with `create_only` its holder must send `If-None-Match: *` (it is signed)."""

    def presign_parts(self, key: str, *, parts: int, expires_s: int) -> PresignedParts:
        """Begin a multipart upload, and sign what carries it out. One that is never completed leaves nothing that can be read;
        the bucket's own rule removes it after a day."""

    def copy(self, source_key: str, target_key: str, *, source_etag: str, size_bytes: int) -> str:
        """Copy an object over whatever stands at the target; the new ETag. StaleWriteError when the source object no longer
        has `source_etag`."""

    def stage_copy(self, source_key: str, target_key: str, *, source_etag: str, size_bytes: int) -> StagedCopy:
        """Begin a copy. StaleWriteError when the source object no longer has `source_etag`."""

    def complete_copy(self, target_key: str, staged: StagedCopy, *, expected_etag: str) -> None:
        """Publish a staged copy over the version `expected_etag`. StaleWriteError when the target has another one;
        NotFoundError when the upload was aborted before. Completing again what was completed is fine (S3 replays the
        answer, even when the object was replaced since)."""

    def abort_copy(self, target_key: str, upload_id: str) -> None:
        """After this the upload can never be completed; it need not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionInfo:
    """One kept version of an object, or the marker of its deletion."""

    key: str
    version_id: str
    etag: str
    last_modified: datetime
    size_bytes: int
    is_latest: bool
    is_marker: bool


class VersionedBucket(Bucket, Protocol):
    """What people's commands need beside: kept versions, and whole files on condition."""

    def versions(self, prefix: str) -> Iterator[VersionInfo]:
        """Every version below the prefix, by key; none where the bucket keeps none."""

    def delete_version(self, key: str, version_id: str) -> None:
        """Gone for good afterwards."""

    def fetch(self, key: str, path: Path, *, etag: str) -> None:
        """Write an object of any size to a file. StaleWriteError when it has another ETag or is gone."""

    def put_whole(self, key: str, path: Path, *, expected_etag: str) -> str:
        """Replace an object of any size by a file; the new ETag. StaleWriteError when it has another ETag or is gone."""

    def restore_version(self, version: VersionInfo, *, expected_etag: str | None) -> str:
        """Copy an older version over the present object (None: there is none); the new ETag. StaleWriteError when that has
        changed; NotFoundError when the version is gone."""


class Queues(Protocol):
    """The queues of the run functions."""

    def send(self, message: Message, *, delay_s: int = 0) -> None:
        """Put a message on the queue that its kind belongs to; at least once. `delay_s` is 0 to 900."""


class MachineHost(Protocol):
    """Where machines live (Fly.io)."""

    def create(self, request: MachineRequest) -> MachineInfo:
        """The machine of that name: a new one, or the one that lives already. FlyError when it is refused for good."""

    def get(self, machine_id: str) -> MachineInfo:
        """Also for one that was destroyed lately. NotFoundError when nothing is known of it."""

    def find(self, metadata: dict[str, str]) -> list[MachineInfo]:
        """The live machines that carry all of this metadata."""

    def destroy(self, machine_id: str) -> None:
        """Stop and remove it now; it need not exist."""


class MachinePool(Protocol):
    """Machines of that host which are kept stopped between tasks."""

    def check_app(self) -> str:
        """Name of the app that owns the machines. FlyError when it is not there, or not ours."""

    def add(
        self, name: str, regions: tuple[str, ...], setup: Setup, *, volume_name: str, volume_gb: int
    ) -> MachineInfo | None:
        """A new stopped machine, with a volume unless volume_gb is 0; None when one of that name lives already."""

    def hand_over(
        self, machine_id: str, version: str, setup: Setup, *, otherwise: Setup | None = None
    ) -> MachineInfo | None:
        """Give a stopped machine another setup; with `otherwise` also start it, or give it that one if it cannot start.

        None when it is not to be had in this version. Asked again with the same setup it goes on where it was, and no
        program runs twice."""

    def stop(self, machine_id: str) -> None:
        """Stop a running machine, and wait for that; it need not run."""

    def volumes(self) -> list[VolumeInfo]:
        """All volumes of the app."""

    def remove_volume(self, volume_id: str) -> None:
        """Gone afterwards, with what is on it; it need not exist. FlyError while a machine has it."""


class Announcer(Protocol):
    """Tells others that a run has ended."""

    def run_finished(self, event: RunFinished) -> None:
        """At least once."""


class Hooks(Protocol):
    """Where organisations want the ends of their runs told."""

    def signing_key(self) -> bytes:
        """The key that every organisation's secret is derived from. SettingsError."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """The status that was answered, redirects included; the body is not read. InputError when the address may not be
        asked. Texts of errors hold no part of it."""


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Aware, UTC."""
