"""Requests to the function URL -> answers."""

from mailtide.api.handler import handler

__all__ = ["handler"]
