"""Uploads, due hours and demands -> a plan and its launches."""

from mailtide.contracts import PlanMessage, TickMessage
from mailtide.handlers import queue_function

handler = queue_function(PlanMessage, TickMessage)
