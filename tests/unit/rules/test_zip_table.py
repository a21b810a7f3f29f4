"""The packaged ZIP table against the package that it is made from."""

from importlib import import_module

import numpy as np

from mailtide.rules.build_zip_table import TABLE_PATH, table_text
from mailtide.rules.columns import NO_STATE
from mailtide.rules.states import STATES
from mailtide.rules.zip_lookup import state_of_zip
from mailtide.rules.zip_table import zip_states


def test_the_committed_table_is_the_regenerated_one() -> None:
    assert TABLE_PATH.read_text(encoding="ascii") == table_text()


def test_every_zip_has_the_state_of_the_package() -> None:
    places = {int(row["zip_code"]): row["state"] for row in import_module("zipcodes").list_all()}
    found = zip_states()
    assert len(found) == 100_000
    for number in range(100_000):
        place = places.get(number)
        expected = STATES.index(place) if place in STATES else NO_STATE
        assert found[number] == expected, number


def test_look_up_over_arrays() -> None:
    zips = np.array([[90210, 501, 20001], [-1, 100_000, 901]], np.int32)
    names = [[STATES[code] if code != NO_STATE else None for code in row] for row in state_of_zip(zips).tolist()]
    assert names == [["CA", "NY", "DC"], [None, None, None]]


def test_the_table_is_compact() -> None:
    assert TABLE_PATH.stat().st_size < 20_000
