"""Calls that run one port call at a time, so that somebody else decides what happens between any two of them.

The use cases are plain synchronous code. Each invocation runs in a thread of its own, which stands still before every port
call until the scheduler hands it the baton together with the fault that this port call shall meet; only one thread ever runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from threading import Semaphore, Thread

from mailtide.errors import MailtideError, TransientError


class Fault(Enum):
    """What befalls one port call."""

    NONE = "none"
    CRASH_BEFORE = "crash before"
    """The process dies; nothing happened."""
    CRASH_AFTER = "crash after"
    """The process dies; it happened."""
    ERROR = "error"
    """TransientError; nothing happened."""
    LOST = "lost"
    """TransientError; it happened."""
    REPEATED = "repeated"
    """It happened, its answer was lost, and the SDK asks again: a conditional write meets its own work."""
    LATE = "late"
    """TransientError; it happens some time later, perhaps when the process is long dead."""


READ_FAULTS = (Fault.CRASH_BEFORE, Fault.ERROR)
WRITE_FAULTS = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.ERROR, Fault.LOST, Fault.REPEATED, Fault.LATE)


class Crash(BaseException):
    """The process ends here; no code of it may see this."""


@dataclass(frozen=True, slots=True)
class Call:
    """A port call that is about to be made."""

    what: str
    key: str
    writes: bool

    @property
    def faults(self) -> tuple[Fault, ...]:
        return WRITE_FAULTS if self.writes else READ_FAULTS


class Direct:
    """Every call is made at once."""

    def call[T](self, call: Call, action: Callable[[], T]) -> T:
        del call
        return action()


class Actor:
    """One process: an invocation of a function, or a machine.

    late: takes the effects of calls that are to happen later.
    """

    def __init__(
        self, name: str, work: Callable[["Actor"], None], late: Callable[[Callable[[], object]], None]
    ) -> None:
        self.name = name
        self.next: Call | None = None
        self.error: BaseException | None = None
        self.finished = False
        self._work = work
        self._late = late
        self._fault = Fault.NONE
        self._go = Semaphore(0)
        self._back = Semaphore(0)
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()
        self.advance(Fault.NONE)

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._work(self)
        except BaseException as error:  # noqa: BLE001 - a process may end in any way; the scheduler judges it
            self.error = error
        self.next = None
        self.finished = True
        self._back.release()

    def advance(self, fault: Fault) -> None:
        """Make the call that the process stands before, and go on to the next one or to the end."""
        self._fault = fault
        self._go.release()
        self._back.acquire()
        if self.finished:
            self._thread.join()

    def kill(self) -> None:
        """The process ends before its next call."""
        if not self.finished:
            self.advance(Fault.CRASH_BEFORE)

    def _park(self, call: Call) -> Fault:
        self.next = call
        self._back.release()
        self._go.acquire()
        return self._fault

    def call[T](self, call: Call, action: Callable[[], T]) -> T:
        """Called by the ports in the process's own thread."""
        fault = self._park(call)
        match fault:
            case Fault.CRASH_BEFORE:
                raise Crash(call.what)
            case Fault.ERROR:
                raise TransientError(call.what)
            case Fault.LATE:
                self._late(action)
                raise TransientError(call.what)
            case Fault.NONE:
                return action()
        _attempt(action)
        if fault is Fault.CRASH_AFTER:
            raise Crash(call.what)
        if fault is Fault.LOST:
            raise TransientError(call.what)
        return self.call(call, action)


def _attempt(action: Callable[[], object]) -> None:
    """Make the call; whatever it answers is lost."""
    try:
        action()
    except MailtideError:
        return
