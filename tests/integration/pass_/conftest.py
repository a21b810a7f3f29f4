"""The profiles of the property tests: `quick` by default, `fuzz` for thousands of cases."""

from tests.property import conftest as _profiles

__all__ = ["_profiles"]
