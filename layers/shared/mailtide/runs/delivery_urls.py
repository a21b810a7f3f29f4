"""Where a machine stores what it made: one request an object, or the parts of a multipart upload for what may be too large."""

import math

from mailtide.contracts import (
    DELIVERIES,
    DELIVERY_PART_BYTES,
    MAX_DELIVERY_PARTS,
    DeliveredName,
    PartsUrls,
    Plan,
    TaskPlan,
)
from mailtide.runs import keys
from mailtide.runs.services import Services

_IN_PARTS_FROM_BYTES: dict[DeliveredName, int] = {
    "contacts.db": 1 << 30,
    "schedule.changeset": 4 << 30,
    "schedule.parquet": 4 << 30,
}
"""Bytes that the database is expected to have. What stands beside it is smaller than itself; and far below what one request
takes, since campaigns may make more of it than is expected."""


def expected_bytes(services: Services, plan: Plan) -> int:
    """What the database may have with its schedule."""
    contacts = plan.inspection.contacts_estimate if plan.inspection else 0
    return plan.read.size_bytes + contacts * services.settings.schedule_bytes_per_contact


_ROOTFS_FROM_BYTES = 2 << 30


def rootfs_gb(services: Services, plan: Plan, task: TaskPlan) -> int | None:
    """Room for the file, the copy that is changed, and what stands beside it; None where any machine has it."""
    expected = expected_bytes(services, plan)
    if task.kind == "chunk" or expected < _ROOTFS_FROM_BYTES:
        return None
    return 2 + math.ceil(2 * expected / 1e9)


def put_urls(services: Services, task: TaskPlan, paths: keys.TryKeys) -> dict[DeliveredName, str]:
    """One request for each object."""
    bucket, expires_s = services.bucket, services.settings.url_ttl_s
    return {
        name: bucket.presign_put(paths.delivered(name), expires_s=expires_s, create_only=False)
        for name in DELIVERIES[task.kind]
    }


def parts_urls(services: Services, plan: Plan, task: TaskPlan, paths: keys.TryKeys) -> dict[DeliveredName, PartsUrls]:
    """The uploads of this try alone: another try has keys and uploads of its own, so their parts never meet."""
    expected, found = expected_bytes(services, plan), {}
    for name in DELIVERIES[task.kind]:
        if name not in _IN_PARTS_FROM_BYTES or expected < _IN_PARTS_FROM_BYTES[name]:
            continue
        signed = services.bucket.presign_parts(
            paths.delivered(name), parts=MAX_DELIVERY_PARTS, expires_s=services.settings.url_ttl_s
        )
        found[name] = PartsUrls(part_bytes=DELIVERY_PART_BYTES, put=signed.put, complete=signed.complete)
    return found
