"""calibration/machines.json: what machines were measured to do, read by planning and updated by finished runs."""

from contextlib import suppress
from datetime import datetime

from pydantic import ValidationError

from mailtide.contracts import Calibration, Done, MachineUse, Manifest, Part, Plan, Sample, TaskKind
from mailtide.errors import StaleWriteError, TransientError
from mailtide.machines import MachineSize
from mailtide.ports import Bucket
from mailtide.runs import keys, store
from mailtide.runs.parts import task_of
from mailtide.runs.services import Services

LEAST_CONTACTS = 10_000
"""With fewer, a pass is too short to tell its speed."""
SHORTEST_STEP_S = 0.001
"""Machines tell thousandths; what took less is nothing."""
LEAST_BYTES = 4_000_000
"""Likewise for a transfer."""
LONGEST_BOOT_S = 120.0
"""More, or less than none, is a clock that is wrong."""


def read_calibration(bucket: Bucket) -> Calibration:
    """The figures that stand; none where nothing was measured, or where the object is not to be understood."""
    return _read(bucket)[0]


def _read(bucket: Bucket) -> tuple[Calibration, str | None]:
    stored = bucket.get(keys.CALIBRATION)
    if stored is None:
        return Calibration(), None
    try:
        return Calibration.model_validate_json(stored.body), stored.etag
    except ValidationError:
        return Calibration(), stored.etag


def store_samples(bucket: Bucket, samples: list[tuple[MachineSize, Sample]]) -> bool:
    """Fold samples into the figures; False when somebody else wrote at the same time, whose figures are as good."""
    calibration, etag = _read(bucket)
    for size, sample in samples:
        calibration = calibration.with_sample(size, sample)
    try:
        if etag is None:
            bucket.create(keys.CALIBRATION, calibration.to_bytes())
        else:
            bucket.replace(keys.CALIBRATION, calibration.to_bytes(), expected_etag=etag)
    except StaleWriteError:
        return False
    return True


def learn(services: Services, plan: Plan, done: Done, part: Part) -> None:
    """Fold what the machines of a published run were measured to do into the figures. Losing against another run is fine."""
    found = []
    for use in done.machines:
        counts = part if use.task == part.task else _part(services, plan, use)
        task = task_of(plan, use.task)
        if task is not None and counts is not None and counts.attempt == use.attempt:
            found.append((use.launch.size, _sample(plan, use, task.kind, counts.manifest, services.clock.now())))
    # The run has ended well: figures that cannot be stored now are not worth another try.
    with suppress(TransientError):
        if found:
            store_samples(services.bucket, found)


def _part(services: Services, plan: Plan, use: MachineUse) -> Part | None:
    return store.read(services.bucket, keys.part(plan.org, plan.run, use.task), Part)


def _sample(plan: Plan, use: MachineUse, kind: TaskKind, manifest: Manifest, now: datetime) -> Sample:
    boot_s = (manifest.started_at - use.launch.launched_at).total_seconds()
    contacts = manifest.report.get("contacts")
    contacts = contacts if isinstance(contacts, int) else 0
    return Sample(
        source=f"{plan.run}/{use.task}",
        kind=kind,
        at=now,
        contacts=contacts,
        contacts_per_s=speeds_of(manifest.report, contacts),
        boot_s=round(boot_s, 3) if 0 <= boot_s <= LONGEST_BOOT_S else None,
        transfer_bytes_per_s=_transfer(plan, kind, manifest),
    )


def speeds_of(report: dict[str, object], contacts: int) -> dict[str, float]:
    """Contacts a second by step of a pass's report; empty when they were too few to tell."""
    seconds = report.get("seconds")
    if contacts < LEAST_CONTACTS or not isinstance(seconds, dict):
        return {}
    steps = {str(name): taken for name, taken in seconds.items() if name != "total" and isinstance(taken, int | float)}
    return {name: round(contacts / taken, 1) for name, taken in steps.items() if taken >= SHORTEST_STEP_S}


def _transfer(plan: Plan, kind: TaskKind, manifest: Manifest) -> float | None:
    """Bytes a second, both ways together; a merge fetches its parts too, which are few bytes beside the database."""
    timings, told = manifest.timings, manifest.report.get("source_bytes_read")
    delivered = sum(delivered.size_bytes for delivered in manifest.delivered)
    if kind == "chunk" or told is None:
        size_bytes = (told if isinstance(told, int) else plan.read.size_bytes) + delivered
        seconds = timings.fetch_s + timings.deliver_s
    else:
        # A machine that had most of it before: the time of its fetch is that of its disk.
        size_bytes, seconds = delivered, timings.deliver_s
    return round(size_bytes / seconds, 1) if size_bytes >= LEAST_BYTES and seconds > 0 else None
