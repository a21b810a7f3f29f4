"""Ticks of a shard -> its due mails on the queue."""

from mailtide.planning_handler import dispatch_ticks

handler = dispatch_ticks()
