"""Feedback on the machine: fetched by the URLs of the task, folded into the private copy before the pass reads it."""

from datetime import datetime
from pathlib import Path

import httpx

from mailtide.contracts import FeedbackReport, TaskDocument
from mailtide.errors import SourceChangedError
from mailtide.feedback.fold import DroppedFile, fold_in
from mailtide.machine import transfer
from mailtide.rules.config import Rules


def take_feedback(
    client: httpx.Client, document: TaskDocument, database: Path, rules: Rules, changes: Path | None = None
) -> FeedbackReport | None:
    """Fold the files of a task into its private database; None when it has none. Raises DatabaseError.

    changes: as of `fold_in`.

    A file that was replaced or removed since the plan is left for the next run.
    """
    if not document.feedback:
        return None
    folder = database.parent / "feedback"
    folder.mkdir()
    files: list[DroppedFile] = []
    left: list[str] = []
    for number, wanted in enumerate(document.feedback):
        path = folder / str(number)
        try:
            transfer.download(client, wanted.get, path, etag=wanted.etag, size_bytes=wanted.size_bytes, part_bytes=None)
        except SourceChangedError:
            left.append(wanted.name)
        else:
            files.append(DroppedFile(path, wanted.name, wanted.etag))
    moment: datetime = document.planned_at
    report = fold_in(database, files, rules, run_id=document.run, moment=moment, changes=changes)
    return report.model_copy(update={"left": tuple(left)})
