"""Certificates of the tests' own."""

from localstack.certificates import Authority, make_authority

__all__ = ["Authority", "make_authority"]
