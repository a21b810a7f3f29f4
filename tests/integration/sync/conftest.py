"""Two days of one small organisation."""

from datetime import date

import pytest

from mailtide.database.invented import invent_database
from tests.integration.sync.days import Day, live_through
from tests.property import conftest as _profiles

__all__ = ["_profiles", "first", "second"]


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """The first run of a database."""
    folder = tmp_path_factory.mktemp("days")
    invent_database(folder / "contacts.db", 1_500, seed=5, bad_fraction=0.05)
    return live_through(folder, folder / "contacts.db", date(2026, 11, 21))


@pytest.fixture(scope="session")
def second(first: Day) -> Day:
    """The day after."""
    return live_through(first.after.parent, first.after, date(2026, 11, 22))
