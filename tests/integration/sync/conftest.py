"""Two days of one small organisation."""

from datetime import date
from pathlib import Path
from uuid import uuid4

import pytest

from mailtide.database.invented import invent_database
from tests.integration.bucket.conftest import credentials, ministack_url
from tests.integration.sync.days import Day, live_through
from tests.integration.sync.site import Site
from tests.property import conftest as _profiles

__all__ = ["_profiles", "credentials", "first", "ministack_url", "second", "site"]


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Day:
    """The first run of a database."""
    folder = tmp_path_factory.mktemp("days")
    invent_database(folder / "contacts.db", 400, seed=5, bad_fraction=0.05)
    return live_through(folder, folder / "contacts.db", date(2026, 11, 21))


@pytest.fixture(scope="session")
def second(first: Day) -> Day:
    """The day after."""
    return live_through(first.after.parent, first.after, date(2026, 11, 22))


@pytest.fixture
def site(ministack_url: str, tmp_path: Path) -> Site:
    """An organisation whose bucket is empty."""
    folder = tmp_path / "machine"
    folder.mkdir()
    return Site(ministack_url, f"sync-{uuid4().hex[:12]}", folder)
