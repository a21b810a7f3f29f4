"""How many sends a shard may plan for a tick: its share of the global limits (spec §4)."""

from collections.abc import Sequence

from mailtide.warmup.ids import hash64
from mailtide.warmup.settings import WarmupSettings


def tick_budget(settings: WarmupSettings, length_ms: int) -> int:
    """Sends that the global limits let through in a tick of this length, all shards together."""
    a_minute = settings.global_minute_limit * length_ms / 60_000
    an_hour = settings.global_hourly_limit * length_ms / 3_600_000
    return int(min(a_minute, an_hour) + 1e-9)


def shard_share(budget: int, planned_by_shard: Sequence[int], shard: int, tick_start_ms: int) -> int:
    """One shard's part of the budget, in proportion to its planned mails; the parts add up to the budget exactly.

    The remainders of the division fall on other shards at each tick (by a hash of its start), so that even a shard
    whose part is less than one gets its due over the day.
    """
    total = sum(planned_by_shard)
    if not total:
        return 0
    offset = hash64("share", tick_start_ms) % total
    before = sum(planned_by_shard[:shard])
    return (budget * (before + planned_by_shard[shard]) + offset) // total - (budget * before + offset) // total
