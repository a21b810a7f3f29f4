"""What the documents of the system that this one replaces say of time and money, beside what is counted here."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mailtide.machines import MachineSize
from mailtide.runs.sizing import Sizing, launch_delay_s, size_run
from mailtide.runs.speeds import Speeds
from mailtide.settings import Settings

BYTES_A_CONTACT = 100
"""Size of a database per contact before it has a schedule."""
ARCHITECTURE, MACHINE, SINGLE = "000-fly-architecture", "001-fly-machine-deployment", "002-single-machine-multithreaded"
TOLERANCE = 0.15
"""A figure that is as near as this to theirs is theirs."""
_DAY_S, _YEAR_S = 86_400, 365 * 86_400
_PEAK_MB_A_MILLION = 577
"""Measured by `make bench` (docs/performance.md)."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One figure: theirs, from low to high, and ours at the same ends. ours: equal ends where it is one figure."""

    document: str
    what: str
    theirs: tuple[float, float]
    ours: tuple[float, float]
    unit: str

    @property
    def is_reproduced(self) -> bool:
        """Whether all of ours lies within theirs, but for TOLERANCE."""
        low, high = self.theirs
        return low * (1 - TOLERANCE) <= min(self.ours) and max(self.ours) <= high * (1 + TOLERANCE)

    @property
    def verdict(self) -> str:
        """One word."""
        return "reproduced" if self.is_reproduced else "corrected"

    @property
    def theirs_text(self) -> str:
        """Theirs with its unit."""
        return _range(self.theirs, self.unit)

    @property
    def ours_text(self) -> str:
        """Ours with its unit."""
        return _range(self.ours, self.unit)


def claims(settings: Settings, speeds: Speeds) -> Iterator[Claim]:
    """Every figure, by document."""
    here = Here(settings, speeds)
    yield from _architecture(here)
    yield from _machine(here)
    yield from _single(here)


@dataclass(frozen=True, slots=True)
class Here:
    """How the figures are counted here."""

    settings: Settings
    speeds: Speeds

    def run(self, contacts: int) -> Sizing:
        """The machines of a run, by the whole size table."""
        return size_run(self.settings, contacts=contacts, size_bytes=contacts * BYTES_A_CONTACT, speeds=self.speeds)

    def on_largest(self, contacts: int) -> Sizing:
        """On performance-8x, whatever else would do."""
        only = self.settings.model_copy(update={"size_table": self.settings.size_table[-1:], "chunking": "never"})
        return size_run(only, contacts=contacts, size_bytes=contacts * BYTES_A_CONTACT, speeds=self.speeds)

    def pass_s(self, contacts: int) -> float:
        """The pass alone, on the machine that the table gives."""
        return self.speeds.pass_s("whole", self.run(contacts).sizes[0], contacts)

    def largest_pass_s(self, contacts: int) -> float:
        """The pass alone, on the largest machine."""
        return self.speeds.pass_s("whole", self.settings.size_table[-1].size, contacts)

    def price_usd_per_s(self, tier: int) -> float:
        """Of a machine of the size table."""
        return self.settings.size_table[tier].usd_per_s

    def ends(self, count: Callable[[int], float], first: int, last: int) -> tuple[float, float]:
        """What is counted at both ends, the lower one first."""
        one, other = count(first), count(last)
        return min(one, other), max(one, other)


def _architecture(here: Here) -> Iterator[Claim]:
    tiers = ((1_000, 9_999, (1, 2)), (10_000, 99_999, (3, 5)), (100_000, 499_999, (8, 15)))
    for first, last, theirs in tiers:
        machine = here.run(first).sizes[0]
        what = f"processing {first:,} to {last + 1:,} contacts on {_name(machine)}"
        yield Claim(ARCHITECTURE, what, theirs, here.ends(here.pass_s, first, last), "s")
    seconds = here.ends(lambda contacts: here.run(contacts).expected_s, 500_000, 1_000_000)
    yield Claim(ARCHITECTURE, "a run of 500,000 to 1,000,000 contacts with workers", (60, 180), seconds, "s")
    yield Claim(ARCHITECTURE, "500,000 contacts in all", (120, 180), _both(here.run(500_000).expected_s), "s")
    yield Claim(ARCHITECTURE, "1,000,000 contacts in all", (240, 360), _both(here.run(1_000_000).expected_s), "s")
    yield from _architecture_dollars(here)
    one = MachineSize(cpu_kind="performance", cpus=1, memory_mb=2_048)
    single = 1_000_000 / here.speeds.pass_s("whole", one, 1_000_000)
    yield Claim(ARCHITECTURE, "contacts a second of one thread", (29_831, 29_831), _both(single), "/s")
    largest = 1_000_000 / here.largest_pass_s(1_000_000)
    yield Claim(ARCHITECTURE, "contacts a second on eight processors", (120_000, 240_000), _both(largest), "/s")
    until_up_s = launch_delay_s(here.settings, 7) + here.speeds.boot_s(here.settings.chunk_size)
    yield Claim(ARCHITECTURE, "until eight workers are up", (60, 120), _both(until_up_s), "s")
    yield Claim(ARCHITECTURE, "contacts of a chunk", (100_000, 100_000), _both(here.settings.chunk_contacts), "")
    yield Claim(ARCHITECTURE, "workers at most", (8, 8), _both(here.settings.max_chunks), "")
    chunks = here.run(1_000_000).chunks
    yield Claim(ARCHITECTURE, "workers for 1,000,000 contacts", (8, 8), _both(chunks), "")


def _architecture_dollars(here: Here) -> Iterator[Claim]:
    def machines(contacts: int) -> float:
        return here.run(contacts).machine_usd

    def all_in(contacts: int) -> float:
        return here.run(contacts).expected_usd

    tiers = ((1_000, 9_999, 0.0001), (10_000, 99_999, 0.0005), (100_000, 499_999, 0.002), (500_000, 1_000_000, 0.02))
    for first, last, theirs in tiers:
        what = f"machines for a run of {first:,} to {last:,} contacts"
        yield Claim(ARCHITECTURE, what, _both(theirs), here.ends(machines, first, last), "$")
    what = "a run of 500,000 to 1,000,000 contacts, all in"
    yield Claim(ARCHITECTURE, what, (0.01, 0.05), here.ends(all_in, 500_000, 1_000_000), "$")
    for runs, word, theirs in ((30, "daily", 0.60), (52 / 12, "weekly", 0.15), (1, "monthly", 0.02)):
        what = f"1,000,000 contacts, {word}, a month, all in"
        yield Claim(ARCHITECTURE, what, _both(theirs), _both(runs * all_in(1_000_000)), "$")
    always = ((0, (2, 8)), (1, (15, 15)), (2, (50, 50)), (3, (100, 200)))
    for tier, theirs_a_month in always:
        size = here.settings.size_table[tier].size
        ours = 30 * _DAY_S * here.price_usd_per_s(tier)
        yield Claim(ARCHITECTURE, f"{_name(size)} kept up for a month", theirs_a_month, _both(ours), "$")


def _machine(here: Here) -> Iterator[Claim]:
    rows = ((10_000, 1, 0.001), (100_000, 7, 0.003), (500_000, 35, 0.015), (1_000_000, 70, 0.030))
    for contacts, seconds, usd in rows:
        what = f"{contacts:,} contacts on performance-8x"
        yield Claim(MACHINE, f"processing {what}", _both(seconds), _both(here.largest_pass_s(contacts)), "s")
        yield Claim(MACHINE, f"machine for {what}", _both(usd), _both(here.on_largest(contacts).machine_usd), "$")
    speed = 1_000_000 / here.largest_pass_s(1_000_000)
    yield Claim(MACHINE, "contacts a second, high-performance mode, eight threads", _both(15_308), _both(speed), "/s")
    yield Claim(MACHINE, "an hour of performance-8x", _both(1.50), _both(3_600 * here.price_usd_per_s(-1)), "$")
    always = _YEAR_S * here.price_usd_per_s(-1)
    yield Claim(MACHINE, "performance-8x kept up for a year", _both(1_080), _both(always), "$")
    a_year = here.ends(lambda contacts: 365 * here.on_largest(contacts).machine_usd, 500_000, 1_000_000)
    yield Claim(MACHINE, "machines for a year of daily runs of 500,000 to 1,000,000", (5, 10), a_year, "$")


def _single(here: Here) -> Iterator[Claim]:
    rows = ((1_000, 0.03), (10_000, 0.3), (100_000, 3), (500_000, 17), (1_000_000, 34), (2_000_000, 68))
    for contacts, seconds in rows:
        what = f"processing {contacts:,} contacts on performance-8x"
        yield Claim(SINGLE, what, _both(seconds), _both(here.largest_pass_s(contacts)), "s")
    yield Claim(
        SINGLE, "processing 1,000,000 contacts, eight threads", (4, 6), _both(here.largest_pass_s(1_000_000)), "s"
    )
    yield Claim(
        SINGLE, "any customer's run, here of 2,000,000 contacts", (0, 60), _both(here.run(2_000_000).expected_s), "s"
    )
    for contacts, most in ((500_000, 0.003), (1_000_000, 0.005), (2_000_000, 0.010)):
        ours = here.on_largest(contacts).machine_usd
        yield Claim(SINGLE, f"machine for {contacts:,} contacts on performance-8x", (0, most), _both(ours), "$")
    yield Claim(SINGLE, "an hour of performance-8x", _both(0.50), _both(3_600 * here.price_usd_per_s(-1)), "$")
    yield Claim(SINGLE, "memory for 1,000,000 contacts", (0, 600), _both(_PEAK_MB_A_MILLION), "MB")


def _name(size: MachineSize) -> str:
    return str(size).partition(",")[0]


def _both(value: float) -> tuple[float, float]:
    return value, value


def _range(ends: tuple[float, float], unit: str) -> str:
    low, high = (_number(end) for end in ends)
    text = low if low == high else f"{low} to {high}"
    return f"${text}" if unit == "$" else f"{text} {unit}".rstrip()


def _number(value: float) -> str:
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.001 or not value else f"{value:.6f}".rstrip("0")
