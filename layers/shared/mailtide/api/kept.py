"""Objects of runs that are written once and never again, kept in this process: a page that refreshes itself reads each once."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from mailtide.contracts import Contract

MOST = 1_000


class KeptObjects:
    """The last MOST objects by key. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[str, Contract] = OrderedDict()

    def get[T: Contract](self, key: str, model: type[T], read: Callable[[], T | None]) -> T | None:
        """The object, read when it is not kept; None, which is not kept, when there is none."""
        with self._lock:
            found = self._kept.get(key)
            if isinstance(found, model):
                self._kept.move_to_end(key)
                return found
        fresh = read()
        if fresh is not None:
            with self._lock:
                self._kept[key] = fresh
                while len(self._kept) > MOST:
                    self._kept.popitem(last=False)
        return fresh
