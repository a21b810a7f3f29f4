"""The same rows however the work is cut and in whatever order the file holds them."""

from datetime import date
from random import Random

import numpy as np
import pytest

from mailtide.rules import decide as module
from mailtide.rules.columns import Desired, Inputs
from mailtide.rules.config import load_rules
from tests.reference.tables import Tables
from tests.unit.rules.bridge import day_number, run_product, to_inputs
from tests.unit.rules.small import campaign_type, contact, instance, scheduled, target

AS_OF = date(2026, 3, 1)
TEXT = "daily_cap_fraction: 0.01\n"


def organisation(contacts: int, seed: int = 1) -> Tables:
    random = Random(seed)
    tables = Tables(
        campaign_types=[campaign_type("rate", days_before_event=3)],
        instances=[instance(1, "rate"), instance(2, "rate")],
    )
    for number in range(contacts):
        birth, effective = (
            f"{random.randint(1940, 2015)}-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}" for _ in "ab"
        )
        tables.contacts.append(
            contact(number - contacts // 2, random.choice(["TX", "CA", "MO", "NV", "NY"]), birth, effective)
        )
        if random.random() < 0.3:
            who = tables.contacts[-1]["id"]
            tables.targets.append(target(who, random.choice([1, 2]), f"2026-03-{random.randint(1, 31):02d}"))
            tables.schedules.append(scheduled(number, who, "birthday", None, f"2026-02-{random.randint(1, 28):02d}"))
    return tables


def columns(result: Desired) -> list[list[int]]:
    names = (
        "contact",
        "email_type",
        "event",
        "send",
        "skip_reason",
        "priority",
        "campaign",
        "email_template",
        "sms_template",
    )
    return [getattr(result, name).tolist() for name in names]


@pytest.mark.parametrize("threads", [2, 4, 32])
def test_any_number_of_threads(threads: int) -> None:
    tables = organisation(700)
    one, many = run_product(tables, TEXT, AS_OF), run_product(tables, TEXT, AS_OF, threads)
    assert columns(one[1].desired) == columns(many[1].desired)
    assert one[1].notes == many[1].notes


def test_many_chunks() -> None:
    ids = np.arange(150_000)
    assert len(ids) > 2 * module.CHUNK_CONTACTS
    random = np.random.default_rng(1)
    days = random.integers(-15_000, -5_000, len(ids)).astype(np.int32)
    small = to_inputs(organisation(1))
    inputs = _repeat(small, days)
    rules = load_rules()
    one, many = module.decide(inputs, rules, day_number(AS_OF)), module.decide(inputs, rules, day_number(AS_OF), 8)
    assert columns(one.desired) == columns(many.desired)
    part = _repeat(small, days[: module.CHUNK_CONTACTS + 1])
    alone = module.decide(part, load_rules("daily_cap_fraction: null"), day_number(AS_OF)).desired
    whole = module.decide(inputs, load_rules("daily_cap_fraction: null"), day_number(AS_OF)).desired
    assert [column[: len(alone)] for column in columns(whole)] == columns(alone)


def _repeat(small: Inputs, days: np.ndarray[tuple[int], np.dtype[np.int32]]) -> Inputs:
    from dataclasses import replace

    count = len(days)
    states = np.arange(count) % 51
    contacts = replace(
        small.contacts,
        id=np.arange(count, dtype=np.int64),
        email_valid=np.ones(count, np.bool_),
        suppressed=np.zeros(count, np.bool_),
        state=states.astype(np.uint8),
        zip_state=states.astype(np.uint8),
        birth=days,
        effective=days + np.int32(100),
        has_phone=np.ones(count, np.bool_),
    )
    none = np.zeros(0, np.int32)
    return replace(
        small,
        contacts=contacts,
        history=replace(small.history, **{name: getattr(small.history, name)[:0] for name in small.history.__slots__}),
        targets=replace(small.targets, contact=none, instance=none, trigger=none),
    )


def test_any_order_of_rows() -> None:
    tables = organisation(120)
    rows = run_product(tables, TEXT, AS_OF)[0]
    random = Random(3)
    for table in (tables.contacts, tables.instances, tables.targets, tables.campaign_types):
        random.shuffle(table)
    assert run_product(tables, TEXT, AS_OF)[0] == rows


def test_progress_tells_the_chunks_that_are_done() -> None:
    told: list[tuple[str, int, int]] = []
    module.decide(to_inputs(organisation(5)), load_rules(), day_number(AS_OF), progress=lambda *step: told.append(step))
    assert told == [("candidates", 1, 1), ("frequency", 1, 1)]


def test_the_inputs_are_not_changed() -> None:
    inputs = to_inputs(organisation(50))
    types, births = list(inputs.types), inputs.contacts.birth.copy()
    module.decide(inputs, load_rules(), day_number(AS_OF))
    assert inputs.types == types
    np.testing.assert_array_equal(inputs.contacts.birth, births)
