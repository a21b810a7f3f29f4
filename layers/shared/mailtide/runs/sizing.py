"""Which machines a run gets, how long it should take and what it should cost: arithmetic on the settings and on what was
measured.

Every choice that the size table and the settings allow is counted through: one machine of the right size or larger, or some
chunk machines and a merge. The cheapest that meets the deadline is taken; when none does, the fastest.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mailtide.contracts import TaskPlan
from mailtide.machines import MachineSize
from mailtide.runs.speeds import Speeds
from mailtide.settings import Settings

REQUESTS_A_RUN = 45
"""S3 requests of the functions and the machine for one run, counted on a whole run."""
REQUESTS_A_CHUNK = 20
"""Likewise for each chunk: its try's objects, its launch, and what collecting its part reads."""
MAX_THREADS = 32

type Border = int
"""The last id of a chunk; the next one begins after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The machines of a run and their estimates."""

    chunks: int
    """0: one machine does all of it."""
    sizes: tuple[MachineSize, ...]
    """Of the whole run, or of the merge: the right size, then the larger ones, for want of capacity or memory."""
    chunk_sizes: tuple[MachineSize, ...]
    expected_s: float
    """From planned to result.json."""
    expected_usd: float
    machine_usd: float
    """Of expected_usd what the machines cost; the rest is egress and requests."""
    meets_deadline: bool

    @property
    def machines(self) -> int:
        """How many there are."""
        return self.chunks + 1

    @property
    def threads(self) -> int:
        """Of the whole run or of the merge."""
        return _threads(self.sizes[0])

    def tasks(self, borders: Sequence[Border]) -> tuple[TaskPlan, ...]:
        """The tasks of the plan. borders: ascending; one fewer than chunks, none for one machine."""
        if not borders:
            return (TaskPlan(task="whole", kind="whole", sizes=self.sizes, threads=self.threads),)
        merge = TaskPlan(task="merge", kind="merge", sizes=self.sizes, threads=self.threads)
        firsts, lasts = (None, *(border + 1 for border in borders)), (*borders, None)
        return (*(self._chunk(number, *ends) for number, ends in enumerate(zip(firsts, lasts, strict=True), 1)), merge)

    def _chunk(self, number: int, first_id: int | None, last_id: int | None) -> TaskPlan:
        return TaskPlan(
            task=f"chunk-{number:04}",
            kind="chunk",
            first_id=first_id,
            last_id=last_id,
            sizes=self.chunk_sizes,
            threads=_threads(self.chunk_sizes[0]),
        )


def size_run(
    settings: Settings, *, contacts: int, size_bytes: int, speeds: Speeds | None = None, max_chunks: int | None = None
) -> Sizing:
    """The machines for this many contacts and a database of this size. max_chunks: 0 for one machine, whatever it takes."""
    counted = _Count(settings, speeds or Speeds(settings), contacts, size_bytes)
    options = list(counted.options(settings.max_chunks if max_chunks is None else max_chunks))
    return min(options, key=_rank)


def _rank(option: Sizing) -> tuple[object, ...]:
    late = not option.meets_deadline
    return (late, option.expected_s if late else option.expected_usd, option.machines)


def delivered_bytes(settings: Settings, contacts: int, size_bytes: int) -> int:
    """The database as it is published: it is large enough to hold a schedule already, or grows by one."""
    schedule_bytes = contacts * settings.schedule_bytes_per_contact
    return size_bytes if size_bytes >= schedule_bytes else size_bytes + schedule_bytes


def launch_delay_s(settings: Settings, number: int) -> int:
    """Whole seconds after which the launch `number` (from 0) of a run may be made, so that the host refuses none."""
    waits = max(0, number + 1 - settings.launch_burst)
    return min(900, int(-(-waits // settings.launches_per_s)))


@dataclass(frozen=True, slots=True)
class _Count:
    """Time and money of every choice for one run."""

    settings: Settings
    speeds: Speeds
    contacts: int
    size_bytes: int

    @property
    def _delivered_bytes(self) -> int:
        return delivered_bytes(self.settings, self.contacts, self.size_bytes)

    def options(self, max_chunks: int) -> Iterator[Sizing]:
        """Every choice, those with fewer machines first."""
        settings = self.settings
        most = 0
        if settings.chunking != "never" and self.contacts >= settings.chunk_from_contacts:
            most = min(max_chunks, settings.max_chunks, -(-self.contacts // settings.chunk_contacts))
        sizes = [tier.size for tier in settings.size_table]
        first = _tier_of(settings, self.contacts)
        chunked = most >= 2 and settings.chunk_size in sizes and settings.merge_size in sizes
        if not chunked or settings.chunking == "auto":
            for index in range(first, len(sizes)):
                yield self._one_machine(tuple(sizes[index:]))
        if chunked:
            fewest = most if settings.chunking == "always" else 2
            for chunks in range(fewest, most + 1):
                for index in range(max(first, sizes.index(settings.merge_size)), len(sizes)):
                    yield self._several(chunks, tuple(sizes[index:]))

    def _one_machine(self, sizes: tuple[MachineSize, ...]) -> Sizing:
        size, speeds, settings = sizes[0], self.speeds, self.settings
        machine_s = (
            speeds.boot_s(size)
            + speeds.transfer_s(size, self.size_bytes)
            + speeds.pass_s("whole", size, self.contacts)
            + speeds.transfer_s(size, self._delivered_bytes)
        )
        machines = machine_usd(settings, size, machine_s)
        usd = machines + egress_usd(settings, self.size_bytes) + requests_usd(settings)
        return self._sizing(0, sizes, (), 2 * settings.handover_s + machine_s, (machines, usd))

    def _several(self, chunks: int, sizes: tuple[MachineSize, ...]) -> Sizing:
        settings, speeds, merge = self.settings, self.speeds, sizes[0]
        table = [tier.size for tier in settings.size_table]
        chunk_sizes = tuple(table[table.index(settings.chunk_size) :])
        part_bytes = self.contacts * settings.candidate_bytes_per_contact
        chunk_s = (
            speeds.boot_s(chunk_sizes[0])
            + speeds.transfer_s(chunk_sizes[0], self.size_bytes / chunks)
            + speeds.pass_s("chunk", chunk_sizes[0], -(-self.contacts // chunks))
            + speeds.transfer_s(chunk_sizes[0], part_bytes / chunks)
        )
        merge_s = (
            speeds.boot_s(merge)
            + speeds.transfer_s(merge, self.size_bytes + part_bytes)
            + speeds.pass_s("merge", merge, self.contacts)
            + speeds.transfer_s(merge, self._delivered_bytes)
        )
        machines = chunks * machine_usd(settings, chunk_sizes[0], chunk_s) + machine_usd(settings, merge, merge_s)
        usd = machines + egress_usd(settings, 2 * self.size_bytes + part_bytes) + requests_usd(settings, chunks)
        wait_s = launch_delay_s(settings, chunks - 1) + 4 * settings.handover_s
        return self._sizing(chunks, sizes, chunk_sizes, wait_s + chunk_s + merge_s, (machines, usd))

    def _sizing(
        self,
        chunks: int,
        sizes: tuple[MachineSize, ...],
        chunk_sizes: tuple[MachineSize, ...],
        seconds: float,
        usd: tuple[float, float],
    ) -> Sizing:
        return Sizing(
            chunks=chunks,
            sizes=sizes,
            chunk_sizes=chunk_sizes,
            expected_s=round(seconds, 2),
            expected_usd=round(usd[1], 6),
            machine_usd=round(usd[0], 6),
            meets_deadline=seconds <= self.settings.deadline_s,
        )


def _tier_of(settings: Settings, contacts: int) -> int:
    """Index of the smallest machine of the table for this many contacts; the last takes all above."""
    tiers = settings.size_table
    fitting = (n for n, tier in enumerate(tiers) if tier.below_contacts is None or contacts < tier.below_contacts)
    return next(fitting, len(tiers) - 1)


def _threads(size: MachineSize) -> int:
    return min(size.cpus, MAX_THREADS)


def machine_usd(settings: Settings, size: MachineSize, seconds: float) -> float:
    """Dollars for a machine, per second started; 0 for a size that the table does not price."""
    price = next((tier.usd_per_s for tier in settings.size_table if tier.size == size), 0.0)
    return price * -(-seconds // 1)


def egress_usd(settings: Settings, size_bytes: int) -> float:
    """Dollars for moving so much from the bucket to machines (the way back is free)."""
    return settings.egress_usd_per_gb * size_bytes / 1e9


def requests_usd(settings: Settings, chunks: int = 0) -> float:
    """Dollars for the S3 requests of a run."""
    return settings.usd_per_1000_requests * (REQUESTS_A_RUN + REQUESTS_A_CHUNK * chunks) / 1000
