"""Quota status, health, metrics, Prometheus text, and looks at single mailboxes."""

from copy import copy
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from mailtide.warmup import keys
from mailtide.warmup.contracts import WarmupTick
from mailtide.warmup.days import RosterStore
from mailtide.warmup.health import health
from mailtide.warmup.memory import MemoryObjects
from mailtide.warmup.metrics import GAUGES, WarmupMetrics, gauges, measure, prometheus_text, read_summaries
from mailtide.warmup.open_time import OpenTime
from mailtide.warmup.plan import plan_warmup
from mailtide.warmup.ports import QueueDepth
from mailtide.warmup.queries import mailbox_day, quota_rows
from mailtide.warmup.quota import day_progress, quota_status
from mailtide.warmup.simulate import Simulation, World
from mailtide.warmup.size import size_warning
from mailtide.warmup.store import create_once
from mailtide.warmup.summaries import read_summary, write_summary
from tests.support.warmup_pools import DAY, END, START, pool_of, roster_of, settings

HOUR_MS = 3_600_000
WHOLE_DAY = OpenTime.of(((0, 86_400),))


def status(sent: int, target: int, hour: float, line: OpenTime = WHOLE_DAY) -> str:
    moment = int(hour * HOUR_MS)
    return quota_status(sent=sent, target=target, expected=target * day_progress(line, moment), moment_ms=moment)


@pytest.mark.parametrize(
    ("sent", "hour", "expected"),
    [
        (30, 1, "complete"),
        (31, 23, "complete"),
        (0, 0.1, "behind"),
        (0, 0, "on_track"),
        (0, 18.1, "failing"),
        (0, 17.9, "behind"),
        (1, 23.9, "behind"),
        (14, 12.1, "behind"),
        (15, 12.1, "on_track"),
        (9, 11.9, "on_track"),
        (8, 11.0, "on_track"),
        (7, 11.9, "behind"),
        (29, 23.9, "on_track"),
    ],
)
def test_quota_status_through_a_whole_day(sent: int, hour: float, expected: str) -> None:
    assert status(sent, 30, hour) == expected


def test_a_window_that_opens_late_is_not_failing_before_it_opens() -> None:
    evening = OpenTime.of(((20 * 3_600, 24 * 3_600),))
    assert status(0, 10, 19, evening) == "on_track"
    assert status(0, 10, 21, evening) == "failing"


@given(sent=st.integers(0, 40), target=st.integers(0, 40), hour=st.floats(0, 23.99))
def test_quota_status_follows_the_definition(sent: int, target: int, hour: float) -> None:
    left, due = 24 - hour, target * min(1, hour / (24 * 0.92))
    found = status(sent, target, hour)
    if sent >= target:
        assert found == "complete"
    elif sent == 0 and left < 6:
        assert found == "failing"
    elif abs(sent - due / 2) > 1e-3:
        assert found == ("behind" if sent < due / 2 or (sent < target / 2 and left < 12) else "on_track")


@pytest.mark.parametrize(
    ("sent", "failed", "expected", "word"),
    [
        (0, 0, 0.0, "healthy"),
        (0, 0, 0.9, "healthy"),
        (29, 0, 100.0, "critical"),
        (30, 0, 100.0, "degraded"),
        (59, 0, 100.0, "degraded"),
        (60, 0, 100.0, "healthy"),
        (90, 10, 100.0, "healthy"),
        (89, 11, 100.0, "degraded"),
        (80, 20, 80.0, "degraded"),
        (79, 21, 80.0, "critical"),
    ],
)
def test_health_compares_with_the_time_of_day(sent: int, failed: int, expected: float, word: str) -> None:
    assert health(sent=sent, failed=failed, expected=expected) == word


@pytest.fixture(scope="module")
def half_a_day() -> Simulation:
    simulation = Simulation(
        pool_of([4] * 20),
        day=DAY,
        settings=settings(global_minute_limit=40, global_hourly_limit=900),
        world=World(outages=((1_210, 1_440),)),
    )
    simulation.run()
    simulation.clock.at_ms = END - 230 * 60_000
    return simulation


def test_metrics_add_up(half_a_day: Simulation) -> None:
    services = half_a_day.services
    depth = QueueDepth(visible=12, delayed=3, in_flight=0)
    found = measure(services.bucket, now_ms=services.clock.now_ms(), depth=depth, settings=services.settings)
    assert found is not None
    assert (found.total_mailboxes, found.active_mailboxes, found.planned_today) == (80, 80, 2_400)
    assert found.shards_reporting == found.shards == 4
    assert abs(found.emails_sent_today - found.expected_by_now) < 60
    assert found.quota_completion_rate == pytest.approx(found.emails_sent_today / 2_400, abs=1e-6)
    assert 80 < found.throughput_per_hour < 140
    assert (found.queue_depth, found.quota_completion_rate_yesterday) == (12, None)
    assert found.system_health == "healthy"
    assert found.failed_share == pytest.approx(found.emails_failed_today / found.emails_sent_today, abs=1e-6)
    assert sum(found.quota.model_dump().values()) == 80
    assert found.limit_share == pytest.approx(2_400 / (900 * 24), abs=1e-6)
    assert measure(services.bucket, now_ms=END, depth=depth, settings=services.settings) is None


TICK_MS = 600_000


def measured(simulation: Simulation, now_ms: int) -> WarmupMetrics:
    services = simulation.services
    depth = QueueDepth(visible=0, delayed=0, in_flight=0)
    found = measure(services.bucket, now_ms=now_ms, depth=depth, settings=services.settings)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("ticks_later", "word"), [(0, "healthy"), (2, "healthy"), (2.1, "degraded"), (6, "degraded"), (6.1, "critical")]
)
def test_figures_of_dispatchers_that_have_died_are_not_those_of_now(
    half_a_day: Simulation, ticks_later: float, word: str
) -> None:
    summaries = read_summaries(half_a_day.services.bucket, DAY, 4)
    last_ms = min(each.written_ms for each in summaries)
    found = measured(half_a_day, last_ms + int(ticks_later * TICK_MS))
    assert found.system_health == word
    assert found.figures_age_seconds == pytest.approx(ticks_later * 600, abs=1)
    assert found.as_of_ms == last_ms
    if ticks_later <= 2:
        assert (found.shards_stale, found.warnings) == (0, ())
        assert found.throughput_per_hour > 80
    else:
        assert found.shards_stale == 4
        assert found.throughput_per_hour == 0, "nobody knows of any"
        (warning,) = found.warnings
        assert warning.startswith(f"The figures of 4 of 4 shards are old, up to {int(ticks_later * 10)} minutes: ")


def test_one_shard_that_has_died_is_told_from_the_others(half_a_day: Simulation) -> None:
    summaries = read_summaries(half_a_day.services.bucket, DAY, 4)
    last_ms = max(each.written_ms for each in summaries)
    simulation = copy(half_a_day)
    simulation.services = replace(half_a_day.services, bucket=MemoryObjects())
    bucket = simulation.services.bucket
    for name in (keys.roster(DAY), *(keys.summary(DAY, shard) for shard in range(4))):
        stored = half_a_day.services.bucket.get(name)
        assert stored is not None
        bucket.create(name, stored.body)
    before = read_summary(bucket, DAY, 2)
    assert before is not None
    old = before.value.model_copy(update={"written_ms": last_ms - 3 * TICK_MS})
    assert write_summary(bucket, old, (), expected_etag=before.etag)
    found = measured(simulation, last_ms)
    assert (found.shards_stale, found.system_health) == (1, "degraded")
    assert found.figures_age_seconds == 1_800
    assert 0 < found.throughput_per_hour < measured(half_a_day, last_ms).throughput_per_hour


def test_a_shard_that_has_left_nothing_is_as_old_as_the_roster() -> None:
    simulation = Simulation(pool_of([4] * 20), day=DAY, settings=settings())
    plan_warmup(simulation.services, WarmupTick())
    now_ms = simulation.clock.now_ms()
    assert measured(simulation, now_ms).figures_age_seconds == 0
    found = measured(simulation, now_ms + 3 * TICK_MS)
    assert (found.shards_stale, found.figures_age_seconds, found.system_health) == (4, 1_800, "degraded")


@pytest.mark.parametrize(
    ("yesterday", "today", "crossed"),
    [
        (None, 499, 0),
        (None, 500, 500),
        (499, 500, 500),
        (500, 999, 0),
        (480, 1_000, 1_000),
        (1_000, 990, 0),
        (999, 5_000, 5_000),
        (9_999, 10_000, 10_000),
    ],
)
def test_the_day_that_a_threshold_is_crossed(yesterday: int | None, today: int, crossed: int) -> None:
    bucket, header = MemoryObjects(), roster_of(pool_of([1] * 9)).header
    for day, size in ((DAY - timedelta(days=1), yesterday), (DAY, today)):
        if size is not None:
            create_once(bucket, keys.roster(day), header.model_copy(update={"day": day, "mailboxes": size}))
    depth = QueueDepth(visible=0, delayed=0, in_flight=0)
    found = measure(bucket, now_ms=START, depth=depth, settings=settings())
    assert found is not None
    assert found.size_threshold_crossed == crossed


@pytest.mark.parametrize("mailboxes", [499, 500])
def test_the_roster_warns_of_its_size_and_the_metrics_say_so(mailboxes: int) -> None:
    bucket, warning = MemoryObjects(), size_warning(mailboxes)
    RosterStore(bucket).write(roster_of(pool_of([1] * mailboxes, max_daily=1)))
    depth = QueueDepth(visible=0, delayed=0, in_flight=0)
    found = measure(bucket, now_ms=START, depth=depth, settings=settings())
    assert found is not None
    assert found.warnings == ((warning,) if warning else ())
    assert (warning is None) == (mailboxes < 500)


def test_the_age_of_the_oldest_send_is_that_of_the_last_tick(half_a_day: Simulation) -> None:
    """Between ticks nobody knows what was taken since, so the age must not grow by itself: the alarm is at one tick."""
    services = half_a_day.services
    depth = QueueDepth(visible=0, delayed=0, in_flight=0)
    ages = []
    for now_ms in (services.clock.now_ms(), services.clock.now_ms() + 500_000):
        found = measure(services.bucket, now_ms=now_ms, depth=depth, settings=services.settings)
        assert found is not None
        ages.append(found.oldest_message_age_seconds)
    summaries = read_summaries(services.bucket, DAY, 4)
    waited = [each.written_ms - each.oldest_due_ms for each in summaries if each.oldest_due_ms is not None]
    assert ages == [max(waited, default=0) / 1000] * 2


def test_prometheus_text_is_valid_and_names_nobody(half_a_day: Simulation) -> None:
    services = half_a_day.services
    depth = QueueDepth(visible=0, delayed=0, in_flight=0)
    now_ms = services.clock.now_ms()
    found = measure(services.bucket, now_ms=now_ms, depth=depth, settings=services.settings, dead_letters=3)
    assert found is not None
    text = prometheus_text(found).decode()
    samples = {
        (sample.name, *sample.labels.items()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert {name for name, *labels in samples if not labels} == set(gauges(found))
    assert {name.removeprefix("warmup_") for name in gauges(found)} == set(GAUGES) - {"quota_completion_rate_yesterday"}
    assert samples["warmup_system_health",] == 2
    assert samples["warmup_emails_sent_today",] == found.emails_sent_today
    assert {labels[0] for _, *labels in samples if labels} == {
        ("status", word) for word in ("complete", "on_track", "behind", "failing")
    }
    assert "@" not in text
    assert "u1" not in text


def test_quota_rows_by_status_and_user(half_a_day: Simulation) -> None:
    bucket = half_a_day.services.bucket
    everyone = list(quota_rows(bucket, DAY))
    assert len({row.mailbox_id for row in everyone}) == 80
    assert {row.mailbox_id for row in quota_rows(bucket, DAY, user_id="u7")} == {f"u7-b{n}" for n in range(4)}
    on_track = list(quota_rows(bucket, DAY, status="on_track"))
    assert on_track == [row for row in everyone if row.status == "on_track"]


def test_one_mailbox(half_a_day: Simulation) -> None:
    services = half_a_day.services
    found = mailbox_day(services.bucket, services.rosters, services.ledger, services.clock.now_ms(), "u7-b2")
    assert found is not None
    assert (found.user_id, found.target, len(found.due_ms)) == ("u7", 30, 30)
    assert len(found.rounds) >= 30
    assert sum(letter in "sr" for letter in found.rounds) == found.sent > 20
    assert mailbox_day(services.bucket, services.rosters, services.ledger, services.clock.now_ms(), "nobody") is None
