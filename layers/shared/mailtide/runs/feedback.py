"""Which feedback files a run folds in, and which ones its published database holds.

Files stay where they were dropped. The ledger in the database says which it has, so nothing here must be exact: feedback.json
only spares a run the files that the published database is known to hold. An upload is another database, and gets all.
"""

import re
from datetime import timedelta
from itertools import islice

from pydantic import ValidationError

from mailtide.contracts import (
    FEEDBACK_KEEP_DAYS,
    MAX_FEEDBACK_BYTES,
    MAX_FEEDBACK_FILES,
    MAX_FEEDBACK_TOTAL_BYTES,
    FeedbackFile,
    FeedbackFolded,
    FeedbackPlan,
    FeedbackReport,
    Part,
    Plan,
    SourceRef,
)
from mailtide.ports import Bucket, ObjectInfo
from mailtide.runs import keys
from mailtide.runs.services import Services

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]{0,126}\.(jsonl|csv)")
_MAX_LISTED = 50_000
_SHOWN_PROBLEMS = 20


def plan_feedback(bucket: Bucket, org: str, source: SourceRef) -> FeedbackPlan:
    """The files that a run over this version of the database should fold in, oldest first."""
    folded = _read_folded(bucket, org)
    held = folded.files if folded is not None and folded.published_etag == source.etag else ()
    known = {(file.name, file.etag) for file in held}
    prefix = keys.feedback(org)
    found: list[FeedbackFile] = []
    problems: list[str] = []
    for info in islice(bucket.list(prefix), _MAX_LISTED):
        name = info.key.removeprefix(prefix)
        problem = _problem(name, info)
        if problem is None and (name, info.etag) not in known:
            found.append(_file(name, info))
        elif problem:
            problems.append(problem)
    found.sort(key=lambda file: (file.dropped_at, file.name))
    taken = _within_budget(found)
    return FeedbackPlan(files=tuple(taken), waiting=len(found) - len(taken), problems=tuple(problems[:_SHOWN_PROBLEMS]))


def _file(name: str, info: ObjectInfo) -> FeedbackFile:
    return FeedbackFile(name=name, etag=info.etag, size_bytes=info.size_bytes, dropped_at=info.last_modified)


def _problem(name: str, info: ObjectInfo) -> str | None:
    if not name:
        return None
    if NAME.fullmatch(name) is None:
        shown = "".join(char if char.isprintable() else "?" for char in name[:60])
        return (
            f"feedback/{shown} was not taken: a name must be letters, digits and ._=+- and end in .jsonl or .csv, "
            "without a folder."
        )
    if info.size_bytes > MAX_FEEDBACK_BYTES:
        return f"feedback/{name} was not taken: it is larger than {MAX_FEEDBACK_BYTES >> 20} MiB."
    return None


def _within_budget(found: list[FeedbackFile]) -> list[FeedbackFile]:
    taken: list[FeedbackFile] = []
    left_bytes = MAX_FEEDBACK_TOTAL_BYTES
    for file in found[:MAX_FEEDBACK_FILES]:
        left_bytes -= file.size_bytes
        if left_bytes < 0:
            break
        taken.append(file)
    return taken


def told(plan: Plan, report: dict[str, object]) -> dict[str, object]:
    """The report of a run with what its plan says of feedback."""
    planned = plan.feedback
    if not planned.waiting and not planned.problems:
        return report
    folded = _report_of(report) or FeedbackReport()
    whole = folded.model_copy(update={"waiting": planned.waiting, "problems": (*planned.problems, *folded.problems)})
    return {**report, "feedback": whole.model_dump(mode="json")}


def _report_of(report: dict[str, object]) -> FeedbackReport | None:
    try:
        return FeedbackReport.model_validate(report.get("feedback"))
    except ValidationError:
        return None


def note_folded(services: Services, plan: Plan, part: Part, published_etag: str | None) -> None:
    """Note which files the published database holds, and delete those that it has held for long.

    Safe to repeat. StaleWriteError when somebody else wrote in between.
    """
    standing = services.bucket.get(keys.feedback_folded(plan.org))
    before = _parsed(standing.body) if standing is not None else None
    held = before.files if before is not None and before.published_etag in {plan.read.etag, published_etag} else ()
    now_held = {(file.name, file.etag): file for file in (*held, *_taken(plan, part))}
    if not now_held or published_etag is None:
        return
    kept = tuple(file for file in now_held.values() if not _deleted(services, plan.org, file))
    if before is not None and (before.published_etag, before.files) == (published_etag, kept):
        return
    body = FeedbackFolded(published_etag=published_etag, files=kept).to_bytes()
    if standing is None:
        services.bucket.create(keys.feedback_folded(plan.org), body)
    else:
        services.bucket.replace(keys.feedback_folded(plan.org), body, expected_etag=standing.etag)


def _taken(plan: Plan, part: Part) -> list[FeedbackFile]:
    """The files of the plan that the machine says are in the database now."""
    report = _report_of(part.manifest.report)
    if report is None:
        return []
    return [file for file in plan.feedback.files if file.name not in report.left]


def _deleted(services: Services, org: str, file: FeedbackFile) -> bool:
    """Delete a file that was dropped long ago; False when it is young. One that was replaced since is another file."""
    if services.clock.now() - file.dropped_at < timedelta(days=FEEDBACK_KEEP_DAYS):
        return False
    key = f"{keys.feedback(org)}{file.name}"
    info = services.bucket.head(key)
    if info is not None and info.etag == file.etag:
        services.bucket.delete(key)
    return True


def _read_folded(bucket: Bucket, org: str) -> FeedbackFolded | None:
    stored = bucket.get(keys.feedback_folded(org))
    return None if stored is None else _parsed(stored.body)


def _parsed(body: bytes) -> FeedbackFolded | None:
    try:
        return FeedbackFolded.model_validate_json(body)
    except ValidationError:
        return None
