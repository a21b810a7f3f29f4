"""Runs that are cut over several machines: chunks propose, one merge settles (spec §11)."""
