"""The ports as one process sees them: every call is a step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from mailtide.contracts import Message, RunFinished
from mailtide.machines import MachineInfo, MachineRequest, Setup, VolumeInfo
from mailtide.ports import (
    Announcer,
    Bucket,
    MachineHost,
    MachinePool,
    ObjectInfo,
    PresignedParts,
    Queues,
    StagedCopy,
    StoredObject,
)
from tests.model.simulation.steps import Call


class Stepper(Protocol):
    """Whoever makes the calls: an Actor, or Direct."""

    def call[T](self, call: Call, action: Callable[[], T]) -> T: ...


@dataclass(frozen=True)
class SteppedBucket:
    """Implements mailtide.ports.Bucket. Signing a URL asks nobody, so it is no step."""

    inner: Bucket
    steps: Stepper

    def _read[T](self, what: str, key: str, action: Callable[[], T]) -> T:
        return self.steps.call(Call(what, key, writes=False), action)

    def _write[T](self, what: str, key: str, action: Callable[[], T]) -> T:
        return self.steps.call(Call(what, key, writes=True), action)

    def head(self, key: str) -> ObjectInfo | None:
        return self._read("head", key, lambda: self.inner.head(key))

    def get(self, key: str) -> StoredObject | None:
        return self._read("get", key, lambda: self.inner.get(key))

    def get_range(self, key: str, offset: int, length: int, *, etag: str) -> bytes:
        return self._read("get_range", key, lambda: self.inner.get_range(key, offset, length, etag=etag))

    def first_part_size(self, key: str, *, etag: str) -> int | None:
        return self._read("first_part_size", key, lambda: self.inner.first_part_size(key, etag=etag))

    def create(self, key: str, body: bytes) -> str:
        return self._write("create", key, lambda: self.inner.create(key, body))

    def replace(self, key: str, body: bytes, *, expected_etag: str) -> str:
        return self._write("replace", key, lambda: self.inner.replace(key, body, expected_etag=expected_etag))

    def delete(self, key: str) -> None:
        self._write("delete", key, lambda: self.inner.delete(key))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self._read("list", prefix, lambda: self.inner.list(prefix))

    def list_folders(self, prefix: str, *, after: str = "") -> Iterator[str]:
        return self._read("list_folders", prefix, lambda: self.inner.list_folders(prefix, after=after))

    def presign_get(self, key: str, *, expires_s: int, download_as: str | None = None) -> str:
        return self.inner.presign_get(key, expires_s=expires_s, download_as=download_as)

    def presign_put(self, key: str, *, expires_s: int, create_only: bool) -> str:
        return self.inner.presign_put(key, expires_s=expires_s, create_only=create_only)

    def presign_parts(self, key: str, *, parts: int, expires_s: int) -> PresignedParts:
        return self._write(
            "presign_parts", key, lambda: self.inner.presign_parts(key, parts=parts, expires_s=expires_s)
        )

    def copy(self, source_key: str, target_key: str, *, source_etag: str, size_bytes: int) -> str:
        return self._write(
            "copy",
            target_key,
            lambda: self.inner.copy(source_key, target_key, source_etag=source_etag, size_bytes=size_bytes),
        )

    def stage_copy(self, source_key: str, target_key: str, *, source_etag: str, size_bytes: int) -> StagedCopy:
        return self._write(
            "stage_copy",
            target_key,
            lambda: self.inner.stage_copy(source_key, target_key, source_etag=source_etag, size_bytes=size_bytes),
        )

    def complete_copy(self, target_key: str, staged: StagedCopy, *, expected_etag: str) -> None:
        self._write(
            "complete_copy",
            target_key,
            lambda: self.inner.complete_copy(target_key, staged, expected_etag=expected_etag),
        )

    def abort_copy(self, target_key: str, upload_id: str) -> None:
        self._write("abort_copy", target_key, lambda: self.inner.abort_copy(target_key, upload_id))


@dataclass(frozen=True)
class SteppedQueues:
    """Implements mailtide.ports.Queues."""

    inner: Queues
    steps: Stepper

    def send(self, message: Message, *, delay_s: int = 0) -> None:
        self.steps.call(Call("send", message.kind, writes=True), lambda: self.inner.send(message, delay_s=delay_s))


@dataclass(frozen=True)
class SteppedMachines:
    """Implements mailtide.ports.MachineHost."""

    inner: MachineHost
    steps: Stepper

    def create(self, request: MachineRequest) -> MachineInfo:
        return self.steps.call(Call("create_machine", request.name, writes=True), lambda: self.inner.create(request))

    def get(self, machine_id: str) -> MachineInfo:
        return self.steps.call(Call("get_machine", machine_id, writes=False), lambda: self.inner.get(machine_id))

    def find(self, metadata: dict[str, str]) -> list[MachineInfo]:
        return self.steps.call(Call("find_machines", str(metadata), writes=False), lambda: self.inner.find(metadata))

    def destroy(self, machine_id: str) -> None:
        self.steps.call(Call("destroy_machine", machine_id, writes=True), lambda: self.inner.destroy(machine_id))


@dataclass(frozen=True)
class SteppedPool:
    """Implements mailtide.ports.MachinePool."""

    inner: MachinePool
    steps: Stepper

    def check_app(self) -> str:
        return self.inner.check_app()

    def add(
        self, name: str, regions: tuple[str, ...], setup: Setup, *, volume_name: str, volume_gb: int
    ) -> MachineInfo | None:
        call = Call("add_machine", name, writes=True)
        return self.steps.call(
            call, lambda: self.inner.add(name, regions, setup, volume_name=volume_name, volume_gb=volume_gb)
        )

    def hand_over(
        self, machine_id: str, version: str, setup: Setup, *, otherwise: Setup | None = None
    ) -> MachineInfo | None:
        call = Call("hand_over", machine_id, writes=True)
        return self.steps.call(call, lambda: self.inner.hand_over(machine_id, version, setup, otherwise=otherwise))

    def stop(self, machine_id: str) -> None:
        self.steps.call(Call("stop_machine", machine_id, writes=True), lambda: self.inner.stop(machine_id))

    def volumes(self) -> list[VolumeInfo]:
        return self.steps.call(Call("list_volumes", "", writes=False), self.inner.volumes)

    def remove_volume(self, volume_id: str) -> None:
        self.steps.call(Call("remove_volume", volume_id, writes=True), lambda: self.inner.remove_volume(volume_id))


@dataclass(frozen=True)
class SteppedAnnouncer:
    """Implements mailtide.ports.Announcer."""

    inner: Announcer
    steps: Stepper

    def run_finished(self, event: RunFinished) -> None:
        self.steps.call(Call("announce", event.run, writes=True), lambda: self.inner.run_finished(event))
