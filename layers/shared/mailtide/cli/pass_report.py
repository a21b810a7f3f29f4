"""The report of a pass as lines for people. Plain text: what draws tables takes longer to import than a small pass."""

from collections.abc import Iterator, Sequence

from mailtide.cli.files import counted
from mailtide.machine.report import PassReport

_STATUSES = ("pre-scheduled", "skipped")


def lines_of(report: PassReport) -> Iterator[str]:
    """Rows by type, skips, changes, seconds; without the warnings."""
    yield f"Schedule as of {report.as_of}: {report.eligible:,} of {report.contacts:,} contacts are eligible"
    if report.rows:
        yield "Mails by type:"
        rows = [[kind, *(f"{counts.get(name, 0):,}" for name in _STATUSES)] for kind, counts in report.rows.items()]
        yield from _table([["mail type", *_STATUSES], *rows])
    for title, counts in (
        ("Contacts that get no mail", report.skipped_contacts),
        ("Mails skipped, by reason", report.skips),
        ("Worth a look", report.notes),
    ):
        if counts:
            yield f"{title}:"
            ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            yield from _table([[name, f"{count:,}"] for name, count in ordered])
    changes = ", ".join(f"{getattr(report, name):,} {name}" for name in ("inserted", "updated", "deleted", "unchanged"))
    yield f"Changes: {changes}" + ("" if report.changed else " (nothing was written)")
    steps = ", ".join(f"{name} {seconds:.2f}" for name, seconds in report.seconds.items() if name != "total")
    yield f"Seconds: {report.seconds['total']:.2f} ({steps})"
    yield f"Computed: {report.profile}, {counted(report.threads, 'thread')}"


def printable(text: str) -> str:
    """A text from a file of somebody's, without anything that a terminal would obey."""
    return "".join(char if char.isprintable() else "?" for char in text)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Texts on the left, numbers to the right."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for first, *numbers in shown:
        cells = (number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True))
        yield "  " + "   ".join((first.ljust(widths[0]), *cells))
