"""A database with its schedule: by one machine from the source alone, or by a merge from the parts of chunks too."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx

from mailtide.contracts import FeedbackReport, PartInput, TaskDocument, Timings
from mailtide.database.leave import Leave
from mailtide.errors import BadPartError
from mailtide.machine import transfer
from mailtide.machine.beside import deliver_all, earlier_changes, leave_for
from mailtide.machine.chunks.prepare import MergePreparation
from mailtide.machine.delivery import Delivery, Laps, Say
from mailtide.machine.feedback import take_feedback
from mailtide.machine.kept_file import Fetched, KeptFile, fetch_source
from mailtide.machine.memory import limits_of
from mailtide.machine.prepare import Prepare, prepare_whole
from mailtide.machine.report import PassReport
from mailtide.machine.schedule_pass import run_pass
from mailtide.rules.config import Rules, load_rules

DATABASE = "contacts.db"
"""Its name in the folder of a task."""
MAX_PART_BYTES = 1 << 30
_CONNECTIONS = 8


def deliver_schedule(
    client: httpx.Client, document: TaskDocument, folder: Path, say: Say, kept: KeptFile | None = None
) -> Delivery:
    """Fetch the source, bring its schedule up to date, and store it when it changed. kept: what this machine had before."""
    laps = Laps()
    rules = load_rules(document.rules_yaml)
    path = folder / DATABASE
    prepare, unusable, fetched = _fetch(client, document, path, kept, say)
    fetch_s = laps.seconds()
    say(f"fetched {fetched.moved_bytes} of {document.source.size_bytes} bytes in {fetch_s:.2f} s")
    leave = leave_for(document, folder)
    feedback = take_feedback(client, document, path, rules, earlier_changes(leave))
    touched = feedback is not None and feedback.changed
    report = _pass(document, path, rules, prepare, unusable, leave, touched, say)
    pass_s = laps.seconds()
    say(f"scheduled {report.contacts} contacts in {pass_s:.2f} s")
    changed = report.changed or touched
    delivered = deliver_all(client, document, path, leave) if changed else ()
    deliver_s = laps.seconds()
    say(f"delivered in {deliver_s:.2f} s")
    return Delivery(
        changed=changed,
        delivered=delivered,
        report=_told(report, feedback, fetched),
        timings=Timings(fetch_s=fetch_s, pass_s=pass_s, deliver_s=deliver_s),
    )


def _pass(
    document: TaskDocument,
    path: Path,
    rules: Rules,
    prepare: Prepare,
    unusable: BadPartError | None,
    leave: Leave,
    touched: bool,
    say: Say,
) -> PassReport:
    """The pass; where a part cannot be used, without any part. That refusal comes before anything is written."""

    def one(prepare: Prepare) -> PassReport:
        return run_pass(
            path,
            as_of=document.as_of,
            rules=rules,
            run_id=document.run,
            started_at=document.planned_at,
            threads=document.task.threads,
            profile=document.profile,
            prepare=prepare,
            leave=leave,
            touched=touched,
        )

    try:
        if unusable is not None:
            raise unusable
        return one(prepare)
    except BadPartError as error:
        warning = f"{str(error).removesuffix('.')}, so the merge's machine did the whole pass itself."
        say(warning)
        report = one(_alone(document))
        report.warnings.append(warning)
        return report


def _fetch(
    client: httpx.Client, document: TaskDocument, path: Path, kept: KeptFile | None, say: Say
) -> tuple[Prepare, BadPartError | None, Fetched]:
    """Fetch the source to `path`, and beside it the parts of a merge; why they cannot be used, or None."""
    alone = _alone(document)
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        parts = [pool.submit(_fetch_part, client, part) for part in document.parts]
        fetched = fetch_source(client, document, path, kept, say)
        if document.task.kind == "whole":
            return alone, None, fetched
        names = (part.task for part in document.parts)
        try:
            found = tuple(zip(names, (part.result() for part in parts), strict=True))
            return MergePreparation(document, found, limits_of(document)), None, fetched
        except BadPartError as error:
            return alone, error, fetched


def _alone(document: TaskDocument) -> Prepare:
    """Everything from the file."""
    return partial(prepare_whole, limits=limits_of(document))


def _fetch_part(client: httpx.Client, part: PartInput) -> bytes:
    """What a chunk delivered. BadPartError when it is not what its manifest says."""
    wrong = BadPartError(f"The candidates of {part.task} cannot be used: they are not what their manifest says.")
    if part.size_bytes > MAX_PART_BYTES:
        raise wrong
    try:
        data = transfer.get_limited(client, part.get, f"fetching {part.task}", part.size_bytes)
    except (transfer.CorruptTransferError, transfer.RefusedError):
        raise wrong from None
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise wrong
    return data


def _told(report: PassReport, feedback: FeedbackReport | None, fetched: Fetched) -> dict[str, object]:
    told = report.plain()
    if fetched.way != "whole":
        told["source_bytes_read"] = fetched.moved_bytes
    return told if feedback is None else {**told, "feedback": feedback.model_dump(mode="json")}
