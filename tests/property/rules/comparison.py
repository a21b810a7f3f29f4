"""Product against reference on the same tables."""

import datetime

from tests.reference.schedule import desired
from tests.reference.settings import load
from tests.reference.tables import Tables
from tests.unit.rules.bridge import run_product


def assert_same(tables: Tables, text: str, as_of: datetime.date) -> None:
    """Both give the same rows, in the same order, and the same counts."""
    rows, outcome = run_product(tables, text, as_of)
    result = desired(tables, load(text), as_of)
    assert rows == result.rows
    assert outcome.eligible == result.eligible
    assert outcome.skipped_contacts == result.skipped_contacts
    for name, count in result.notes.items():
        assert outcome.notes[name] == count, name
