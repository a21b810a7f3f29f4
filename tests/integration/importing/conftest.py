"""A database with a few contacts, and the command line in this process."""

from pathlib import Path

import pytest

from tests.integration.pass_.rows import execute
from tests.property import conftest as _profiles
from tests.unit.cli.conftest import run

__all__ = ["_profiles", "database", "run"]

CREATE = (
    "CREATE TABLE contacts (id INTEGER PRIMARY KEY, email TEXT, first_name TEXT, zip_code TEXT, state TEXT, "
    "birth_date TEXT, effective_date TEXT, phone_number TEXT)"
)
ROWS = (
    "(1, 'ann@example.org', 'Ann', '75001', 'TX', '1950-03-15', '2015-01-01', '5550100'), "
    "(2, ' Bob@Example.org', 'Bob', NULL, 'CA', NULL, NULL, NULL), "
    "(3, 'twin@example.org', 'Cy', NULL, 'NV', NULL, NULL, NULL), (4, 'TWIN@example.org', 'Di', NULL, 'NV', NULL, NULL, NULL)"
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Four contacts, two of them with one address; alone in its folder."""
    folder = tmp_path / "organisation"
    folder.mkdir()
    path = folder / "contacts.db"
    execute(path, CREATE)
    execute(path, f"INSERT INTO contacts VALUES {ROWS}")
    return path
