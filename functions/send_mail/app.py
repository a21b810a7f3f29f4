"""Queue of mails -> each sent at most once, and none above a limit."""

from mailtide.send_handler import handler

__all__ = ["handler"]
