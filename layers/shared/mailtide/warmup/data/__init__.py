"""Packaged data of the warm-up."""
