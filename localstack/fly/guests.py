"""Which machines and regions there are to be had.

Source: Fly's documentation of machine sizing: a shared processor takes 256 MB to 2 GB, a performance one 2 to 8 GB.
"""

import re
from typing import Any

from localstack.fly.problems import ApiError, invalid

REGIONS = frozenset(
    "ams arn bom cdg dfw ewr fra gru iad jnb lax lhr nrt ord sin sjc syd yyz".split()  # noqa: SIM905 - easier to read
)
DEFAULT_REGION = "iad"
_MEMORY_MB_PER_CPU = {"shared": (256, 2048, 256), "performance": (2048, 8192, 1024)}
_CPUS = (1, 2, 4, 8, 16)
_SIZE = re.compile(r"(shared-cpu|performance)-(\d+)x")


def checked_region(region: str | None) -> str:
    """The region to use; 400 for an unknown one."""
    chosen = region or DEFAULT_REGION
    if chosen not in REGIONS:
        raise invalid(f"unknown region {chosen!r}")
    return chosen


def checked_guest(config: dict[str, Any]) -> dict[str, Any]:
    """The guest of a configuration with its defaults filled in; 422 for a size that Fly does not have."""
    guest = {"cpu_kind": "shared", "cpus": 1} | _by_size(config.get("size")) | (config.get("guest") or {})
    kind, cpus = guest["cpu_kind"], guest["cpus"]
    if kind not in _MEMORY_MB_PER_CPU or cpus not in _CPUS:
        raise ApiError(422, f"invalid_argument: no machine has {cpus} CPUs of kind {kind!r}")
    least, most, step = _MEMORY_MB_PER_CPU[kind]
    memory_mb = guest.setdefault("memory_mb", least * cpus)
    if not least * cpus <= memory_mb <= most * cpus or memory_mb % step:
        raise ApiError(
            422, f"invalid_argument: {memory_mb} MB does not fit {cpus} {kind} CPUs ({least * cpus} to {most * cpus})"
        )
    return guest


def _by_size(size: str | None) -> dict[str, Any]:
    found = _SIZE.fullmatch(size or "")
    if not found:
        return {}
    return {"cpu_kind": "shared" if found[1] == "shared-cpu" else "performance", "cpus": int(found[2])}
