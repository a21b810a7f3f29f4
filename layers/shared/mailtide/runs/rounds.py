"""A round over many organisations or runs, of which one that is broken must not stop the others."""

from collections.abc import Callable, Iterable

from mailtide.runs.services import StepReport


def for_each[T](items: Iterable[T], look: Callable[[T], StepReport | None]) -> list[StepReport]:
    """Look at every item and return what was done.

    ExceptionGroup, after the last one, of all that went wrong: the round then counts as failed and is tried again.
    """
    reports: list[StepReport] = []
    errors: list[Exception] = []
    for item in items:
        try:
            report = look(item)
        except Exception as error:  # noqa: BLE001 - raised below, together with the others'
            errors.append(error)
        else:
            reports += [report] if report is not None else []
    if errors:
        raise ExceptionGroup(f"{len(errors)} of a round's items failed", errors)
    return reports
