"""The array code against the slow reference, on made-up databases of every shape."""

import datetime

from hypothesis import given
from hypothesis import strategies as st

from tests.property.rules.comparison import assert_same
from tests.property.rules.databases import crowd_rules, crowds, databases, days_of_run, rules_texts


@given(st.data(), days_of_run, rules_texts())
def test_same_rows_as_the_reference(data: st.DataObject, as_of: datetime.date, text: str) -> None:
    assert_same(data.draw(databases(as_of)), text, as_of)


@given(st.data(), days_of_run)
def test_same_rows_under_the_packaged_rules(data: st.DataObject, as_of: datetime.date) -> None:
    assert_same(data.draw(databases(as_of, contacts=15, rows=20)), "", as_of)


@given(st.data(), days_of_run, crowd_rules)
def test_same_rows_when_mails_cascade(data: st.DataObject, as_of: datetime.date, text: str) -> None:
    assert_same(data.draw(crowds(as_of)), text, as_of)
