"""Removing a person from everything that an organisation has in the bucket."""
