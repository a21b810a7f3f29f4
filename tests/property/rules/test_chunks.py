"""However the contacts are cut over machines, the rows are those of one machine (spec §11)."""

import dataclasses
import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mailtide.rules.columns import Desired, Outcome
from mailtide.rules.config import load_rules
from mailtide.rules.dates import days_since_epoch
from mailtide.rules.decide import decide
from tests.property.rules.databases import crowd_rules, crowds, databases, days_of_run, rules_texts
from tests.reference.tables import Tables
from tests.support.chunks import decide_in_chunks, even_borders
from tests.unit.rules.bridge import to_inputs

COUNTS = st.sampled_from([1, 2, 3, 8, 17])
FEWER = settings(max_examples=max(1, settings().max_examples // 5))
BORDERS = st.lists(st.one_of(st.integers(-60, 60), st.sampled_from([-(2**63), 2**63 - 2, 2**62, 0])), max_size=16)


def rows(desired: Desired) -> list[list[Any]]:
    """Every column; codes as the texts that they stand for."""
    texts: dict[str, list[Any]] = {
        "email_type": desired.types,
        "skip_reason": [*desired.reasons, None],
        "email_template": [*desired.templates, None],
        "sms_template": [*desired.templates, None],
    }
    columns = []
    for field in dataclasses.fields(Desired):
        column = getattr(desired, field.name)
        if isinstance(column, list):
            continue
        values = column.tolist()
        columns.append([texts[field.name][code] for code in values] if field.name in texts else values)
    return columns


def assert_cut_alike(tables: Tables, text: str, as_of: datetime.date, borders: list[int] | int) -> None:
    inputs, rules = to_inputs(tables), load_rules(text)
    one = decide(inputs, rules, days_since_epoch(as_of))
    if isinstance(borders, int):
        borders = even_borders(inputs.contacts.id.tolist(), borders)
    many = decide_in_chunks(inputs, rules, as_of, borders)
    assert rows(many.desired) == rows(one.desired)
    for name in (field.name for field in dataclasses.fields(Outcome) if field.name != "desired"):
        assert getattr(many, name) == getattr(one, name), name
    assert list(many.notes) == list(one.notes)


@FEWER
@given(st.data(), days_of_run, rules_texts(), COUNTS)
def test_equal_counts(data: st.DataObject, as_of: datetime.date, text: str, chunks: int) -> None:
    assert_cut_alike(data.draw(databases(as_of)), text, as_of, chunks)


@FEWER
@given(st.data(), days_of_run, rules_texts(), BORDERS)
def test_any_borders_and_empty_chunks(data: st.DataObject, as_of: datetime.date, text: str, borders: list[int]) -> None:
    assert_cut_alike(data.draw(databases(as_of, contacts=15, rows=20)), text, as_of, borders)


@FEWER
@given(st.data(), days_of_run, crowd_rules, COUNTS)
def test_caps_that_cascade_over_borders(data: st.DataObject, as_of: datetime.date, text: str, chunks: int) -> None:
    assert_cut_alike(data.draw(crowds(as_of)), text, as_of, chunks)
