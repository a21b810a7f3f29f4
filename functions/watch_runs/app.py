"""Every minute -> whatever should have moved is brought on."""

from mailtide.contracts import WatchMessage
from mailtide.handlers import queue_function

handler = queue_function(WatchMessage)
