"""What Lambda's environment gives to functions, for containers that run the same handlers."""

import os

DEFAULTS = {
    "POWERTOOLS_SERVICE_NAME": "mailtide",
    "POWERTOOLS_METRICS_NAMESPACE": "Mailtide",
    "POWERTOOLS_TRACE_DISABLED": "true",
}


def stand_in_for_lambda() -> None:
    """Set what is not set. Before the first import of a handler, which reads it."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
