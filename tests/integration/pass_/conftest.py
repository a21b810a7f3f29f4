"""A small database and its rules, and the profiles of the property tests."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from mailtide.database.invented import invent_database
from tests.property import conftest as _profiles

__all__ = ["_profiles", "as_of", "database", "invented", "started"]


@pytest.fixture(scope="session")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that no test writes to."""
    path = tmp_path_factory.mktemp("invented") / "contacts.db"
    invent_database(path, 2_000, seed=5, bad_fraction=0.1)
    return path


@pytest.fixture
def database(invented: Path, tmp_path: Path) -> Path:
    """A copy of it, alone in its folder."""
    folder = tmp_path / "organisation"
    folder.mkdir()
    return Path(shutil.copyfile(invented, folder / "contacts.db"))


@pytest.fixture
def as_of() -> date:
    """The day of the run."""
    return date(2026, 11, 21)


@pytest.fixture
def started() -> datetime:
    """The moment that stands in the rows."""
    return datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
