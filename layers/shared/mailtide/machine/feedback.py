"""Feedback on the machine: fetched by the URLs of the task, folded into the private copy before the pass reads it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from mailtide.contracts import FeedbackReport, TaskDocument
from mailtide.errors import SourceChangedError
from mailtide.feedback.fold import DroppedFile, fold_in
from mailtide.machine import transfer
from mailtide.rules.config import Rules

FETCHERS = 16
"""Files that are fetched side by side."""


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

    def fetch(number: int) -> DroppedFile | None:
        wanted, path = document.feedback[number], folder / str(number)
        try:
            transfer.download(client, wanted.get, path, etag=wanted.etag, size_bytes=wanted.size_bytes, part_bytes=None)
        except SourceChangedError:
            return None
        return DroppedFile(path, wanted.name, wanted.etag)

    # Many small files: what takes time is the way to the bucket and back.
    with ThreadPoolExecutor(FETCHERS) as pool:
        fetched = list(pool.map(fetch, range(len(document.feedback))))
    files = [file for file in fetched if file is not None]
    left = tuple(wanted.name for wanted, file in zip(document.feedback, fetched, strict=True) if file is None)
    report = fold_in(database, files, rules, run_id=document.run, moment=document.planned_at, changes=changes)
    return report.model_copy(update={"left": left})
