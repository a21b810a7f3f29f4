"""Manifests and errors of machines -> the try that counts, the next try, or the end."""

from mailtide.contracts import CollectMessage
from mailtide.handlers import queue_function

handler = queue_function(CollectMessage)
