"""A day of the worker mode that this replaces, lived through run by run: what its settings really send.

A worker takes the mailboxes of its own number, and at each run one mail of as many of them as its batch holds, those first
that have waited longest. It starts a group of lanes together, waits for them and pauses, group after group. A run that would
begin while the one before is under way does not take place.
"""

from collections import Counter, deque
from dataclasses import dataclass
from itertools import batched
from math import ceil

from mailtide.contracts import Contract

DAY_S = 86_400.0
PAUSE_S = 5.0
"""After each group of lanes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How the workers are set."""

    workers: int
    interval_minutes: float
    """Between two runs."""
    batch_size: int
    """Mailboxes, and mails, of a run."""
    lanes: int
    send_s: float

    @property
    def run_s(self) -> float:
        """How long a full run takes."""
        return ceil(self.batch_size / self.lanes) * (self.send_s + PAUSE_S)


class WorkerDay(Contract):
    """A simulated day of the worker mode in figures."""

    workers: int
    runs_a_worker: int
    run_s: float
    mailboxes: int
    planned: int
    sent: int
    quotas_met: int
    quotas_missed: int
    mailboxes_carried: int
    """Whose quota so many mails would fill."""
    peak_minute: int
    """Most starts in a minute, all workers together: they all run at once."""
    faults: tuple[str, ...]


def live_worker_day(mailboxes: int, mails: int, settings: WorkerSettings) -> WorkerDay:
    """Send `mails` of each mailbox through a whole day."""
    starts: Counter[int] = Counter()
    runs = _runs_s(settings)
    sent = met = 0
    for worker in range(settings.workers):
        own = _one_worker(len(range(worker, mailboxes, settings.workers)), mails, settings, runs, starts)
        sent += sum(own)
        met += sum(count >= mails for count in own)
    missed = mailboxes - met
    return WorkerDay(
        workers=settings.workers,
        runs_a_worker=len(runs),
        run_s=settings.run_s,
        mailboxes=mailboxes,
        planned=mailboxes * mails,
        sent=sent,
        quotas_met=met,
        quotas_missed=missed,
        mailboxes_carried=sent // mails,
        peak_minute=max(starts.values(), default=0),
        faults=(f"{missed:,} mailboxes missed their quota.",) if missed else (),
    )


def _runs_s(settings: WorkerSettings) -> list[float]:
    """When runs begin: seconds after midnight."""
    interval_s = 60 * settings.interval_minutes
    every = max(1, ceil(settings.run_s / interval_s - 1e-9))
    return [number * interval_s for number in range(0, ceil(DAY_S / interval_s - 1e-9), every)]


def _one_worker(
    mailboxes: int, mails: int, settings: WorkerSettings, runs_s: list[float], starts: Counter[int]
) -> list[int]:
    """Mails sent of each of its mailboxes; its starts are added to `starts`, by minute of the day."""
    sent = [0] * mailboxes
    waiting = deque(range(mailboxes))
    for begin_s in runs_s:
        taken = [waiting.popleft() for _ in range(min(settings.batch_size, len(waiting)))]
        for number in taken:
            sent[number] += 1
        waiting.extend(number for number in taken if sent[number] < mails)
        for group, lanes in enumerate(batched(taken, settings.lanes, strict=False)):
            starts[int(begin_s + group * (settings.send_s + PAUSE_S)) // 60] += len(lanes)
    return sent
