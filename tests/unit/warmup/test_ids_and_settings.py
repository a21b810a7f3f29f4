"""The stated hash, send ids, Message-IDs; settings, and the names that came before."""

from datetime import date
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.errors import SettingsError
from mailtide.warmup.ids import ID_PATTERN, SendId, bits53, hash64, hasher, message_id, parse_message_id, unit
from mailtide.warmup.settings import OLD_NAMES, WarmupSettings, load_warmup_settings, old_names

IDS = st.from_regex(ID_PATTERN[1:-1], fullmatch=True)
SEND_IDS = st.builds(SendId, st.dates(date(2000, 1, 1), date(9999, 12, 31)), IDS, st.integers(0, 999))


def test_the_hash_is_as_stated() -> None:
    text = b"phase|2026-11-21|box-17"
    assert hash64("phase", date(2026, 11, 21), "box-17") == int.from_bytes(blake2b(text, digest_size=8).digest(), "big")
    assert hash64("shard", "box-17") == 7_223_419_515_913_672_435
    assert bits53("a") == hash64("a") >> 11
    assert hasher("phase|2026-11-21|")("box-17") == hash64("phase", date(2026, 11, 21), "box-17")


@given(st.text(max_size=20))
def test_units_are_below_one(text: str) -> None:
    assert 0 <= unit("any", text) < 1


@given(SEND_IDS)
def test_send_ids_come_back_from_their_text_and_their_message_id(send_id: SendId) -> None:
    assert SendId.parse(str(send_id)) == send_id
    assert parse_message_id(message_id(send_id, "acme.example")) == send_id


@pytest.mark.parametrize(
    "text", ["", "x", "2026-11-21/box", "2026-13-21/box/1", "2026-11-21/box/01", "2026-11-21/a.b/1", "2026-11-21/b/1\n"]
)
def test_what_is_no_send_id(text: str) -> None:
    with pytest.raises(ValueError, match=r"send id|month|range"):
        SendId.parse(text)


def test_what_is_no_message_id_of_ours() -> None:
    for text in ("<abc@x.y>", "<20261321.box.1@x.y>", "20261121.box.1@x.y", "<20261121.box.1@x y>", ""):
        assert parse_message_id(text) is None


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in OLD_NAMES:
        monkeypatch.delenv(name, raising=False)
    load_warmup_settings.cache_clear()
    return monkeypatch


def test_defaults_are_those_of_the_rules(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("WARMUP_TICK_MINUTES", raising=False)
    found = WarmupSettings()
    assert (found.min_daily_quota, found.tick_minutes, found.shards) == (30, 10, 100)
    assert (found.global_hourly_limit, found.global_minute_limit, found.user_hourly_limit) == (150_000, 2_500, 1_500)
    assert (found.mailbox_cooldown_min_ms, found.mailbox_cooldown_max_ms) == (120_000, 300_000)
    assert (found.stagger_min_ms, found.stagger_max_ms, found.batch_size, found.max_concurrent) == (500, 2_000, 200, 50)
    assert (found.smtp_timeout_ms, found.rate_limit_backoff_ms, found.quota_priority_boost) == (30_000, 5_000, 2.0)
    assert (found.reply_rate, found.reply_delay_min, found.reply_delay_max) == (0.35, 5, 240)
    assert (found.user_daily_cap, found.metrics_retention_days) == (1.2, 30)
    assert (found.start_count, found.increase_by, found.max_daily) == (3, 3, 30)


@pytest.mark.parametrize("field", sorted(WarmupSettings.model_fields))
def test_every_setting_is_read_from_its_variable(environment: pytest.MonkeyPatch, field: str) -> None:
    default = getattr(WarmupSettings(), field)
    # A share has no room for one more.
    wanted = 0.45 if isinstance(default, float) and default < 1 else default + type(default)(1)
    environment.setenv(f"WARMUP_{field.upper()}", str(wanted))
    assert getattr(WarmupSettings(), field) == wanted


def test_the_old_name_of_the_tick_still_works(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("WARMUP_CRON_INTERVAL_MINUTES", "7")
    assert WarmupSettings().tick_minutes == 7
    environment.setenv("WARMUP_TICK_MINUTES", "5")
    assert WarmupSettings().tick_minutes == 5


def test_every_old_name_gets_its_note(environment: pytest.MonkeyPatch) -> None:
    assert old_names() == {}
    for name, note in OLD_NAMES.items():
        environment.setenv(name, "1")
        assert old_names()[name] == note
    assert set(old_names()) == set(OLD_NAMES)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("WARMUP_TICK_MINUTES", "16", "WARMUP_TICK_MINUTES is not usable"),
        ("WARMUP_REPLY_RATE", "x", "WARMUP_REPLY_RATE is not usable"),
        ("WARMUP_MAILBOX_COOLDOWN_MIN_MS", "300001", "WARMUP_MAILBOX_COOLDOWN_MIN_MS is above"),
        ("WARMUP_REPLY_DELAY_MIN", "300", "WARMUP_REPLY_DELAY_MIN is above WARMUP_REPLY_DELAY_MAX"),
    ],
)
def test_what_cannot_be_is_one_sentence(environment: pytest.MonkeyPatch, name: str, value: str, sentence: str) -> None:
    environment.setenv(name, value)
    with pytest.raises(SettingsError, match=sentence) as caught:
        load_warmup_settings()
    assert "\n" not in str(caught.value)
