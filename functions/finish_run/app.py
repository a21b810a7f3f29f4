"""Results -> a published schedule or one clear failure, then the tail of the run."""

from mailtide.contracts import FinishMessage
from mailtide.handlers import queue_function

handler = queue_function(FinishMessage)
