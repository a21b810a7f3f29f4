"""Queue of launches -> one Fly machine for each."""

from mailtide.contracts import LaunchMessage
from mailtide.handlers import queue_function

handler = queue_function(LaunchMessage)
