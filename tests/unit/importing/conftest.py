"""The profiles of the property tests."""

from tests.property import conftest as _profiles

__all__ = ["_profiles"]
