"""Databases for the reader and the writer, and the profiles of the property tests."""

from pathlib import Path

import pytest

from mailtide.database.invented import invent_database
from tests.property import conftest as _profiles

__all__ = ["_profiles", "database"]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Some invented contacts, a few of them bad."""
    path = tmp_path / "contacts.db"
    invent_database(path, 300, seed=3, bad_fraction=0.2)
    return path
