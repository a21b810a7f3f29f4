"""Queue of ended runs -> each organisation's webhook is told, signed."""

from mailtide.contracts import WebhookMessage
from mailtide.handlers import queue_function

handler = queue_function(WebhookMessage)
