"""The parts of `make demo-warmup` that can be right or wrong by themselves."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localstack.warmup_demo import make_pool, settings_of
from localstack.warmup_story import most_within
from mailtide.warmup.settings import WarmupSettings
from tests.support.template import load_template

PARAMETERS = load_template()["Parameters"]


@pytest.mark.parametrize(("mailboxes", "minutes"), [(40, 3), (200, 4), (400, 30)])
def test_the_settings_are_what_a_deployment_takes(mailboxes: int, minutes: int) -> None:
    pool = make_pool(mailboxes)
    assert len({box.address for box in pool}) == mailboxes
    settings = settings_of(pool, minutes)
    for name, value in settings.items():
        parameter = PARAMETERS[name]
        if parameter["Type"] == "Number":
            assert parameter.get("MinValue", 0) <= float(value) <= parameter.get("MaxValue", float("inf"))
        allowed = [str(choice) for choice in parameter.get("AllowedValues", [value])]
        assert value in allowed
    # Every mail fits between the cooldowns, and into the limits of the minutes.
    checked = WarmupSettings(
        mailbox_cooldown_max_ms=int(settings["WarmupMailboxCooldownMaxMs"]),
        mailbox_cooldown_min_ms=int(settings["WarmupMailboxCooldownMinMs"]),
    )
    assert max(box.target for box in pool) * checked.mailbox_cooldown_max_ms < 0.92 * minutes * 60_000
    assert sum(box.target for box in pool) <= int(settings["WarmupGlobalMinuteLimit"]) * minutes


@given(st.lists(st.integers(0, 200), max_size=30), st.integers(1, 60))
def test_the_most_within_a_span(moments: list[int], span_s: int) -> None:
    moments.sort()
    counts = [1] * bool(moments)
    counts += [b - a + 1 for a, b in combinations(range(len(moments)), 2) if moments[b] - moments[a] < span_s]
    assert most_within([float(moment) for moment in moments], span_s) == max(counts, default=0)
