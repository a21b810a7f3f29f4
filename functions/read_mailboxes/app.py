"""Queue of visits -> mailboxes read: warm-up mail found, recorded and treated as their owners wish."""

from mailtide.read_handler import handler

__all__ = ["handler"]
