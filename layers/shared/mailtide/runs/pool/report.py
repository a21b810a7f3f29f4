"""What there is in the pool, and what it costs while nobody uses it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from mailtide.machines import MachineInfo, same_image
from mailtide.runs.pool.kept import HOLDS, VISIT, VOLUME_NAME, PoolServices, kept_machines, last_task


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptReport:
    """One kept machine. task: org/run/task/try of the one that it has, or had last. usd_per_month: for its volume and its root
    file system; the seconds at work are in the runs' own costs."""

    name: str
    id: str
    state: str
    size: str
    region: str
    image: str
    image_is_current: bool
    task: str | None
    holds: str | None
    visit_until: str | None
    volume: str | None
    volume_gb: int
    changed_at: str | None
    usd_per_month: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReport:
    """The app's pool. wanted: how many machines the settings ask for; stray_volumes: ids of those without a machine."""

    app: str
    wanted: int
    machines: tuple[KeptReport, ...]
    stray_volumes: tuple[str, ...]
    usd_per_month: float


def report_pool(services: PoolServices) -> PoolReport:
    """All kept machines and their volumes. FlyError."""
    app = services.pool.check_app()
    machines = kept_machines(services)
    volumes = {volume.id: volume for volume in services.pool.volumes() if volume.name == VOLUME_NAME}
    usd = services.settings.pool_usd_per_gb_month
    rows = []
    for machine in machines:
        volume = volumes.get(machine.volume or "")
        rows.append(_row(services, machine, volume.size_gb if volume else 0))
    stray = [volume for volume in volumes.values() if volume.machine_id is None]
    total = sum(row.usd_per_month for row in rows) + sum(usd * volume.size_gb for volume in stray)
    return PoolReport(
        app=app,
        wanted=services.settings.pool_size,
        machines=tuple(rows),
        stray_volumes=tuple(volume.id for volume in stray),
        usd_per_month=round(total, 4),
    )


def _row(services: PoolServices, machine: MachineInfo, volume_gb: int) -> KeptReport:
    settings, metadata = services.settings, machine.metadata
    visit = metadata.get(VISIT, "")
    return KeptReport(
        name=machine.name,
        id=machine.id,
        state=machine.state,
        size=str(machine.size) if machine.size else "unknown",
        region=machine.region,
        image=machine.image,
        image_is_current=same_image(machine.image, settings.machine_image),
        task=last_task(machine),
        holds=metadata.get(HOLDS),
        visit_until=datetime.fromtimestamp(int(visit), UTC).isoformat() if visit.isdigit() else None,
        volume=machine.volume,
        volume_gb=volume_gb,
        changed_at=machine.updated_at.isoformat() if machine.updated_at else None,
        usd_per_month=round(settings.pool_usd_per_gb_month * (volume_gb + settings.pool_rootfs_gb), 4),
    )
