"""Figures of the pages about the origin that follow from `mailtide plan`, beside those that it judges itself."""

from collections.abc import Callable, Mapping

from mailtide.cli.old_figures import Claim, Here, claims
from mailtide.machines import MachineSize
from mailtide.runs.speeds import Speeds
from mailtide.settings import Settings

type Count = Callable[[Here], str]

ONE_PROCESSOR = MachineSize(cpu_kind="performance", cpus=1, memory_mb=2_048)
YEAR_S = 365 * 86_400


def here() -> Here:
    """How figures are counted with the defaults, whatever the environment holds."""
    settings = Settings.model_construct(bucket="unused")
    return Here(settings, Speeds(settings))


def claims_of(document: str) -> dict[str, Claim]:
    """What `mailtide plan` makes of a document's figures, by name."""
    at = here()
    return {claim.what: claim for claim in claims(at.settings, at.speeds) if claim.document == document}


def _run_s(*contacts: int) -> Count:
    """All of a run, from the first number of contacts to the last."""
    return lambda at: " to ".join(f"{at.run(count).expected_s:.1f}" for count in contacts) + " s"


def _pass_s(contacts: int) -> Count:
    return lambda at: f"{at.largest_pass_s(contacts):.1f} s"


def _hours(first: int, last: int) -> Count:
    """Machine hours of a run."""

    def count(at: Here) -> str:
        return " to ".join(f"{_machine_s(at, contacts) / 3_600:.4f}" for contacts in (first, last))

    return count


def _machine_s(at: Here, contacts: int) -> int:
    sizing = at.run(contacts)
    price = next(tier.usd_per_s for tier in at.settings.size_table if tier.size == sizing.sizes[0])
    return round(sizing.machine_usd / price)


def _year_usd(contacts: int) -> Count:
    """The machine of a year of daily runs on performance-8x."""
    return lambda at: f"${365 * at.on_largest(contacts).machine_usd:.2f}"


def _saved(at: Here) -> str:
    return f"{1 - 365 * at.on_largest(1_000_000).machine_usd / (YEAR_S * at.price_usd_per_s(-1)):.2%}".replace(
        "%", " %"
    )


def _per_s(at: Here, *, largest: bool) -> float:
    seconds = at.largest_pass_s(1_000_000) if largest else at.speeds.pass_s("whole", ONE_PROCESSOR, 1_000_000)
    return 1_000_000 / seconds


def _speed_up(at: Here) -> float:
    return _per_s(at, largest=True) / _per_s(at, largest=False)


def _hour_usd(at: Here) -> str:
    return f"${3_600 * at.price_usd_per_s(-1):.3f}"


FIGURES: Mapping[str, Mapping[str, Count]] = {
    "000-fly-architecture": {
        "under 100,000 contacts on performance-2x, in all": _run_s(100_000),
        "run with workers, spin-up included": _run_s(500_000, 1_000_000),
        "machine hours, 1,000 to 10,000 contacts": _hours(1_000, 9_999),
        "machine hours, 10,000 to 100,000 contacts": _hours(10_000, 99_999),
        "machine hours, 100,000 to 500,000 contacts": _hours(100_000, 499_999),
        "machine hours, 500,000 to 1,000,000 contacts": _hours(500_000, 1_000_000),
    },
    "001-fly-machine-deployment": {
        "a typical run in all": _run_s(1_000, 2_000_000),
        "a large run": lambda at: (
            f"${at.run(1_000_000).machine_usd:.4f} machine, ${at.run(1_000_000).expected_usd:.4f} all in"
        ),
        "saved against a machine that always runs": _saved,
        "machine, 10,000 contacts daily, a year": _year_usd(10_000),
        "machine, 100,000 contacts daily, a year": _year_usd(100_000),
        "machine, 500,000 contacts daily, a year": _year_usd(500_000),
        "machine, 1,000,000 contacts daily, a year": _year_usd(1_000_000),
    },
    "002-single-machine-multithreaded": {
        "contacts a second, one thread": lambda at: f"{_per_s(at, largest=False):,.0f} /s",
        "contacts a second, eight threads": lambda at: f"{_per_s(at, largest=True):,.0f} /s",
        "speed-up by threads": lambda at: f"{_speed_up(at):.2f} times with eight",
        "1,000,000 contacts, the goal": _run_s(1_000_000),
        "1,000,000 contacts, expected": _pass_s(1_000_000),
        "2,000,000 contacts, expected": _pass_s(2_000_000),
        "margin for the largest customer": lambda at: f"{60 / at.run(2_000_000).expected_s:.1f} times",
        "a minute of performance-8x": lambda at: f"${60 * at.price_usd_per_s(-1):.4f}",
        "a day of the largest customer": lambda at: f"${at.run(2_000_000).expected_usd:.4f}",
        "a year of a customer": lambda at: (
            f"${365 * at.run(1_000_000).expected_usd:.2f} to {365 * at.run(2_000_000).expected_usd:.2f}"
        ),
        "a run in all, start and end included": _run_s(1_000, 2_000_000),
        "machine for 1,000 to 100,000 contacts": lambda at: (
            f"${at.on_largest(1_000).machine_usd:.6f} to {at.on_largest(100_000).machine_usd:.6f}"
        ),
    },
    "origin": {
        "002: 1,000,000 contacts take 4 to 6 s, or 5 to 10 s": lambda at: (
            f"{_pass_s(1_000_000)(at)} the pass, {_run_s(1_000_000)(at)} all of the run"
        ),
        "002: 29,831 contacts a second by one thread": lambda at: f"{_per_s(at, largest=False):,.0f} by one thread",
        '002: 180,000 and more by eight threads, "linear"': lambda at: f"{_speed_up(at):.2f} times one thread, counted",
        "002: every customer in less than 60 s": lambda at: (
            f"{_run_s(2_000_000)(at)} for 2,000,000; {_run_s(3_000_000)(at)} for 3,000,000"
        ),
        "001: performance-8x costs $1.50 an hour": _hour_usd,
        "001: always on, it costs $1,080 a year": lambda at: f"${YEAR_S * at.price_usd_per_s(-1):,.0f}",
        "000: 500,000 contacts take 2 to 3 minutes with spin-up": _run_s(500_000),
        "000: $0.15 a month for weekly runs": lambda at: f"${52 / 12 * at.run(1_000_000).expected_usd:.3f}",
    },
}
"""Page -> first cell of a row -> what its third cell says."""
