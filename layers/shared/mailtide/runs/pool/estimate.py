"""What a kept machine makes of an organisation's next day, beside what a new one would: the planner counts on new ones alone,
since nobody knows beforehand whether a kept one will be free."""

import math
from dataclasses import dataclass

from mailtide.runs.sizing import Sizing, delivered_bytes, size_run
from mailtide.runs.speeds import Speeds
from mailtide.settings import Settings

HASHED_BYTES_PER_S = 120_000_000
"""Comparing the kept file with its digests and copying it: 168.6 MB took 1.4 s (docs/fly.md)."""
DIGESTS_SHARE = 0.001
"""Of a file: its digests, which are fetched in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextDay:
    """A run of the database as it was published, by one machine."""

    new_s: float
    new_usd: float
    kept_s: float
    """With the published file on its volume; a kept machine boots as a new one does."""
    kept_usd: float
    kept_usd_per_month: float
    """Of one kept machine while it is stopped: its volume and its root file system."""

    @property
    def pays_from_runs(self) -> int | None:
        """Runs a month from which a machine for this organisation alone costs less than it saves; None for never."""
        saved_usd = self.new_usd - self.kept_usd
        return math.ceil(self.kept_usd_per_month / saved_usd) if saved_usd > 0 else None


def next_day(settings: Settings, speeds: Speeds, sizing: Sizing, *, contacts: int, size_bytes: int) -> NextDay | None:
    """None where no kept machine would come to such a run with the file on its volume."""
    kept_bytes = delivered_bytes(settings, contacts, size_bytes)
    is_ours = settings.pool_size > 0 and not sizing.chunks and sizing.sizes[0] == settings.pool_machine_size
    if not is_ours or settings.pool_volume_gb * 1e9 < kept_bytes:
        return None
    new = size_run(settings, contacts=contacts, size_bytes=kept_bytes, speeds=speeds, max_chunks=0)
    size = new.sizes[0]
    digests_bytes = kept_bytes * DIGESTS_SHARE
    fetch_s = speeds.transfer_s(size, digests_bytes) + kept_bytes / HASHED_BYTES_PER_S
    spared_s = speeds.transfer_s(size, kept_bytes) - fetch_s
    spared_bytes = kept_bytes - digests_bytes
    return NextDay(
        new_s=new.expected_s,
        new_usd=new.expected_usd,
        kept_s=round(new.expected_s - spared_s, 2),
        kept_usd=round(_usd_without(settings, new, spared_s, spared_bytes), 6),
        kept_usd_per_month=round(
            settings.pool_usd_per_gb_month * (settings.pool_volume_gb + settings.pool_rootfs_gb), 4
        ),
    )


def _usd_without(settings: Settings, new: Sizing, spared_s: float, spared_bytes: float) -> float:
    price = next((tier.usd_per_s for tier in settings.size_table if tier.size == new.sizes[0]), 0.0)
    return new.expected_usd - price * spared_s - settings.egress_usd_per_gb * spared_bytes / 1e9
