"""mailtide decides, for every contact, which mail goes out on which day, and warms up the mailboxes that send it.

`mailtide.schedule(path, as_of)` brings the schedule of a database up to date and returns a `mailtide.Report`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailtide.machine.api import schedule
    from mailtide.machine.report import PassReport as Report

__version__ = "0.1.0"
__all__ = ["Report", "__version__", "schedule"]
_PLACES = {"schedule": ("mailtide.machine.api", "schedule"), "Report": ("mailtide.machine.report", "PassReport")}


def __getattr__(name: str) -> object:
    """Import what the name stands for when it is first used: a function in the cloud has no numpy."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PLACES[name]
    found: object = getattr(import_module(module), attribute)
    return found
