"""What a machine does with its task document: claim the try, fetch, pass, deliver; or say in error.json why not.

It knows nothing but the URLs of its document. Whatever happens, its last write is manifest.json or error.json, unless
it dies: then the watcher writes error.json in its place.
"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from pydantic import ValidationError

from mailtide.contracts import Claim, Failure, Manifest, TaskDocument, TryError
from mailtide.errors import DatabaseMemoryError, InputError, MailtideError, SourceChangedError, StaleWriteError
from mailtide.machine import transfer
from mailtide.machine.deliver_chunk import deliver_chunk
from mailtide.machine.deliver_schedule import DATABASE, deliver_schedule
from mailtide.machine.delivery import Say
from mailtide.machine.kept_file import KeptFile, open_kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the work on a try ended."""

    ok: bool
    """Whether the exit code is 0: delivered, nothing to change, or not this process's try."""
    sentence: str


def work(task_url: str, *, machine_id: str | None, say: Say, cache_dir: Path | None = None) -> Ended:
    """Do the task behind a URL. MailtideError only when not even error.json could be written.

    cache_dir: where the database is kept for this machine's next task, None for one that ends with this task.
    """
    with transfer.make_client() as client:
        document = _document(transfer.get_small(client, task_url, "fetching the task"))
        say(f"task {document.task.task} of run {document.run}, try {document.attempt}")
        claim = Claim(machine_id=machine_id, claimed_at=_now())
        if not _claim(client, document, claim):
            return Ended(ok=True, sentence="Another process works on this try.")
        kept = open_kept(cache_dir, document.org, say)
        try:
            with TemporaryDirectory(prefix="mailtide-") as folder:
                manifest = _deliver(client, document, claim, Path(folder), kept, say)
                _put_own(client, document.urls.manifest_put, manifest.to_bytes(), "writing the manifest")
                if kept is not None and document.task.kind != "chunk":
                    kept.keep(Path(folder) / DATABASE, say)
        except Exception as error:  # noqa: BLE001 - a machine must not die in silence; what it does not know it calls internal
            failure = _failure(error)
            _say_details(error)
            body = TryError(failure=failure, written_at=_now()).to_bytes()
            _put_own(client, document.urls.error_put, body, "writing the error")
            return Ended(ok=False, sentence=failure.message)
        return Ended(ok=True, sentence="Delivered." if manifest.changed else "Nothing to change.")


def _document(body: bytes) -> TaskDocument:
    """The task. Its validation errors would quote presigned URLs, so they go no further."""
    try:
        return TaskDocument.model_validate_json(body)
    except ValidationError:
        raise MailtideError("the task document is not readable") from None


def _claim(client: httpx.Client, document: TaskDocument, claim: Claim) -> bool:
    """Whether this process is the one that works on the try; a lost answer to its own claim counts as won."""
    try:
        transfer.put_once(client, document.urls.claim_put, claim.to_bytes(), "claiming the try")
    except StaleWriteError:
        standing = Claim.model_validate_json(transfer.get_small(client, document.urls.claim_get, "reading the claim"))
        return standing.token == claim.token
    return True


def _put_own(client: httpx.Client, url: str, body: bytes, what: str) -> None:
    """Create an object of this try. That it exists already means an unanswered first attempt, or a watcher that gave up
    on this machine: either way the try is settled."""
    try:
        transfer.put_once(client, url, body, what)
    except StaleWriteError:
        return


def _deliver(
    client: httpx.Client, document: TaskDocument, claim: Claim, folder: Path, kept: KeptFile | None, say: Say
) -> Manifest:
    started_at = _now()
    if document.task.kind == "chunk":
        delivery = deliver_chunk(client, document, folder, say)
    else:
        delivery = deliver_schedule(client, document, folder, say, kept)
    return Manifest(
        token=claim.token,
        changed=delivery.changed,
        delivered=delivery.delivered,
        report=delivery.report,
        timings=delivery.timings,
        started_at=started_at,
        finished_at=_now(),
    )


def _failure(error: Exception) -> Failure:
    """What error.json says. Only sentences of our own tree and of the system are shown; anything else is named
    by its class."""
    if isinstance(error, DatabaseMemoryError):
        return Failure(kind="out_of_memory", message=str(error))
    if isinstance(error, MemoryError):
        return Failure(kind="out_of_memory", message="The machine ran out of memory.")
    if isinstance(error, InputError):
        return Failure(kind="bad_input", message=str(error))
    if isinstance(error, SourceChangedError):
        return Failure(kind="source_changed", message=str(error))
    return Failure(kind="internal", message=f"The machine failed: {_detail(error)}.")


def _detail(error: Exception) -> str:
    if isinstance(error, MailtideError):
        return str(error).removesuffix(".")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _say_details(error: Exception) -> None:
    """The traceback goes to the machine's own log, for those who may read it."""
    if not isinstance(error, MailtideError):
        sys.excepthook(type(error), error, error.__traceback__)


def _now() -> datetime:
    return datetime.now(UTC)
