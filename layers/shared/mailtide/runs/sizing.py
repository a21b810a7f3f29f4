"""Which machine a run gets, how long it should take and what it should cost: arithmetic on the table of the settings."""

from dataclasses import dataclass

from mailtide.machines import MachineSize
from mailtide.settings import Settings

TRANSFER_BYTES_PER_S = 60_000_000
"""Cautious speed of a machine's download and upload."""
REQUESTS_A_RUN = 45
"""S3 requests of the functions and the machine for one run, counted on a whole run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The machine of a whole run and its estimates."""

    sizes: tuple[MachineSize, ...]
    """The right size, then the larger ones, for want of capacity or memory."""
    threads: int
    expected_s: float
    expected_usd: float


def size_run(settings: Settings, *, contacts: int, size_bytes: int) -> Sizing:
    """The smallest machine of the table for this many contacts and a database of this size."""
    index = next(
        number
        for number, tier in enumerate(settings.size_table)
        if tier.below_contacts is None or contacts < tier.below_contacts or number == len(settings.size_table) - 1
    )
    tiers = settings.size_table[index:]
    chosen = tiers[0]
    expected_s = settings.boot_s + contacts / settings.contacts_per_s + 2 * size_bytes / TRANSFER_BYTES_PER_S
    usd = machine_usd(settings, chosen.size, expected_s) + egress_usd(settings, size_bytes) + requests_usd(settings)
    return Sizing(
        sizes=tuple(tier.size for tier in tiers),
        threads=min(chosen.size.cpus, 32),
        expected_s=round(expected_s, 2),
        expected_usd=round(usd, 6),
    )


def machine_usd(settings: Settings, size: MachineSize, seconds: float) -> float:
    """Dollars for a machine, per second started; 0 for a size that the table does not price."""
    price = next((tier.usd_per_s for tier in settings.size_table if tier.size == size), 0.0)
    return price * -(-seconds // 1)


def egress_usd(settings: Settings, size_bytes: int) -> float:
    """Dollars for moving the database from the bucket to the machine (the way back is free)."""
    return settings.egress_usd_per_gb * size_bytes / 1e9


def requests_usd(settings: Settings) -> float:
    """Dollars for the requests of one run."""
    return settings.usd_per_1000_requests * REQUESTS_A_RUN / 1000
