"""What a kept machine makes of the next day: the figures of docs/fly.md, from the settings."""

import pytest

from mailtide.runs.pool.estimate import NextDay, next_day
from mailtide.runs.sizing import size_run
from mailtide.runs.speeds import Speeds
from mailtide.settings import Settings


def told(contacts: int = 1_000_000, **settings: object) -> NextDay | None:
    given = Settings.model_validate({"bucket": "b", "pool_size": 1, "pool_volume_gb": 3} | settings)
    size_bytes = 93 * contacts
    sizing = size_run(given, contacts=contacts, size_bytes=size_bytes)
    return next_day(given, Speeds(given), sizing, contacts=contacts, size_bytes=size_bytes)


def test_a_kept_machine_fetches_digests_alone_and_has_its_price() -> None:
    found = told()
    assert found is not None
    file_bytes = 1_000_000 * (93 + 780)
    assert found.new_s - found.kept_s == pytest.approx(0.999 * file_bytes / 60e6 - file_bytes / 120e6, abs=0.02)
    assert found.new_usd - found.kept_usd == pytest.approx(0.0786 + 7.3 * 0.0000478, abs=0.0002)
    assert found.kept_usd_per_month == pytest.approx(0.15 * 3.6)
    assert found.pays_from_runs == 7


def test_without_egress_it_pays_late_or_never() -> None:
    near = told(egress_usd_per_gb=0)
    assert near is not None
    assert near.pays_from_runs is not None
    assert near.pays_from_runs > 1_000
    nearer = told(egress_usd_per_gb=0, transfer_bytes_per_s=1e9)
    assert nearer is not None
    assert nearer.pays_from_runs is None


@pytest.mark.parametrize(
    ("contacts", "settings"),
    [
        (1_000_000, {"pool_size": 0}),
        (1_000_000, {"pool_volume_gb": 0}),
        (1_000_000, {"chunking": "always"}),
        (5_000_000, {}),
        (20_000, {}),
    ],
)
def test_nothing_is_said_where_no_kept_machine_comes_with_the_file(contacts: int, settings: dict[str, object]) -> None:
    assert told(contacts, **settings) is None
