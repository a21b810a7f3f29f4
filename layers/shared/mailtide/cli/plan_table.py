"""The whole table of `mailtide plan`: runs from 1,000 to 10,000,000 contacts, and the older documents' figures."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from mailtide.cli.old_figures import BYTES_A_CONTACT

if TYPE_CHECKING:
    from mailtide.cli.old_figures import Claim
    from mailtide.runs.sizing import Sizing
    from mailtide.runs.speeds import Speeds
    from mailtide.settings import Settings

ROWS = (1_000, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_000_000, 3_000_000, 5_000_000, 10_000_000)
"""Contacts of the whole table."""


def size(
    settings: "Settings", speeds: "Speeds", contacts: int, size_bytes: int, *, can_be_cut: bool = True
) -> "Sizing":
    """The machines of a run. can_be_cut: whether the file's ids can be divided among chunks."""
    from mailtide.runs.sizing import size_run

    most = None if can_be_cut else 0
    return size_run(settings, contacts=contacts, size_bytes=size_bytes, speeds=speeds, max_chunks=most)


def facts_of(sizing: "Sizing") -> dict[str, Any]:
    """What the JSON forms tell of a choice of machines."""
    return {
        "machine": str(sizing.sizes[0]),
        "threads": sizing.threads,
        "chunks": sizing.chunks,
        "chunk_machine": str(sizing.chunk_sizes[0]) if sizing.chunks else None,
        "expected_s": sizing.expected_s,
        "expected_usd": sizing.expected_usd,
        "machine_usd": sizing.machine_usd,
        "meets_deadline": sizing.meets_deadline,
    }


def whole_table(settings: "Settings", speeds: "Speeds") -> dict[str, Any]:
    """As JSON: the deadline, every size's run, and each older figure with its verdict."""
    from mailtide.cli.old_figures import claims

    sizings = _sizings(settings, speeds, ROWS)
    return {
        "deadline_s": settings.deadline_s,
        "runs": [{"contacts": contacts, **facts_of(sizing)} for contacts, sizing in sizings.items()],
        "older_figures": [_claim_facts(claim) for claim in claims(settings, speeds)],
    }


def print_whole_table(settings: "Settings", speeds: "Speeds", contacts: int | None = None) -> None:
    """For people; the row of contacts, where they are given, stands out."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from mailtide.cli.old_figures import claims

    console = Console()
    table = Table(title="Runs by size", title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("contacts", "machines", "seconds", "dollars", "machines $", ""):
        table.add_column(name, justify="left" if name in {"machines", ""} else "right", no_wrap=name != "machines")
    rows = sorted({*ROWS, contacts} if contacts is not None else ROWS)
    for row, sizing in _sizings(settings, speeds, rows).items():
        table.add_row(f"{row:,}", *_cells(sizing, settings.deadline_s), style="bold reverse" if row == contacts else "")
    console.print(table)
    _print_claims(console, list(claims(settings, speeds)))


def _sizings(settings: "Settings", speeds: "Speeds", rows: Iterable[int]) -> "dict[int, Sizing]":
    return {contacts: size(settings, speeds, contacts, contacts * BYTES_A_CONTACT) for contacts in rows}


def _cells(sizing: "Sizing", deadline_s: int) -> list[str]:
    machines = _short(str(sizing.sizes[0]))
    if sizing.chunks:
        machines = f"{sizing.chunks} × {_short(str(sizing.chunk_sizes[0]))} + {machines}"
    late = "" if sizing.meets_deadline else f"over {deadline_s} s"
    dollars = (f"{sizing.expected_usd:.5f}", f"{sizing.machine_usd:.6f}")
    return [machines, f"{sizing.expected_s:.1f}", *dollars, late]


def _print_claims(console: Any, found: "list[Claim]") -> None:  # noqa: ANN401 - rich's console, which is imported late
    from rich import box
    from rich.table import Table

    for document in dict.fromkeys(claim.document for claim in found):
        title = f"Figures of {document} and what is counted here"
        table = Table("figure", "theirs", "here", "", title=title, title_justify="left", box=box.SIMPLE, pad_edge=False)
        for claim in (claim for claim in found if claim.document == document):
            table.add_row(claim.what, claim.theirs_text, claim.ours_text, claim.verdict)
        console.print(table)
    reproduced = sum(claim.is_reproduced for claim in found)
    console.print(
        f"{reproduced} of {len(found)} figures are reproduced, {len(found) - reproduced} corrected.", highlight=False
    )


def _claim_facts(claim: "Claim") -> dict[str, object]:
    return {
        "document": claim.document,
        "figure": claim.what,
        "unit": claim.unit,
        "theirs": list(claim.theirs),
        "here": list(claim.ours),
        "verdict": claim.verdict,
    }


def _short(size: str) -> str:
    return size.partition(",")[0]
