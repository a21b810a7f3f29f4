"""A machine's program as the bucket sees it: claim, fetch with If-Match, deliver, manifest; or one of the ways to go wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import Enum
from hashlib import sha256

from mailtide.contracts import DELIVERIES, Claim, Delivered, Failure, Manifest, TaskDocument, Timings, TryError
from mailtide.contracts.candidates import PartHeader, UnreadableError, read_candidates, write_candidates
from mailtide.errors import StaleWriteError, TransientError
from mailtide.runs.launch import TASK_URL_VARIABLE
from tests.model.simulation.databases import schedule
from tests.model.simulation.stepped import Stepper
from tests.model.simulation.steps import Call
from tests.support.memory_bucket import MemoryBucket, RefusedUrlError, md5
from tests.support.memory_machines import MemoryMachine

ATTEMPTS = 3


class Behaviour(Enum):
    """What becomes of a machine, once it has fetched the source."""

    WORKS = "works"
    UNCHANGED = "finds nothing to change"
    OUT_OF_MEMORY = "out of memory"
    HANGS = "hangs"
    VANISHES = "vanishes"
    DIES = "dies without a word"
    GARBAGE_MANIFEST = "garbage for a manifest"
    GARBAGE_ERROR = "garbage for an error"
    GARBAGE_BOTH = "garbage for both"
    WRONG_ETAG = "a manifest of another database"
    EMPTY_DATABASE = "an empty database"
    BAD_INPUT = "bad input"
    INTERNAL = "internal error"
    ERROR_AFTER_MANIFEST = "an error after its manifest"
    OVERWRITES = "overwrites what it delivered"
    BAD_PART = "candidates that nobody can read"
    FOREIGN_PART = "candidates of another run"
    ODD_PART = "candidates of which only the merge can tell that they cannot be used"
    """These three of a chunk; other machines work."""
    NOISE = "a file of noise"
    NO_SCHEDULE = "the source with a byte of its own"
    ANOTHER_DAY = "the schedule of another day and run"
    """The last three with manifests that fit, and not of a chunk."""


_OTHER_DATABASES: dict[Behaviour, Callable[[TaskDocument, bytes], bytes]] = {
    Behaviour.UNCHANGED: lambda _, source: source,
    Behaviour.NOISE: lambda document, source: sha256(document.run.encode()).digest() * (len(source) // 32),
    Behaviour.NO_SCHEDULE: lambda _, source: source[:-1] + bytes([source[-1] ^ 1]),
    Behaviour.ANOTHER_DAY: lambda _, source: schedule(source, date(2020, 2, 29), "f" * 20, {}),
}


class Died(Exception):  # noqa: N818 - an event of the simulation
    """The program ends with exit code 1."""


def candidates(document: TaskDocument, source: bytes, behaviour: Behaviour) -> bytes:
    """What a chunk delivers: a true frame without contacts, which names the bytes that it was made from."""
    if behaviour is Behaviour.BAD_PART:
        return b"bad " * 40
    header = PartHeader(
        run="f" * 20 if behaviour is Behaviour.FOREIGN_PART else document.run,
        task=document.task.task,
        first_id=document.task.first_id,
        last_id=document.task.last_id,
        as_of=document.as_of,
        source_etag=document.source.etag,
        source_size_bytes=document.source.size_bytes,
        rules_sha256=document.rules_sha256,
        suppressions_sha256="odd" if behaviour is Behaviour.ODD_PART else md5(source),
        sources_sha256="",
        rows=0,
        contacts=0,
        eligible=0,
        skipped_contacts={},
        state_zip_mismatch=0,
        quality={},
        shared_quality={},
        blocks=(),
    )
    return write_candidates(header, [])


@dataclass(frozen=True)
class Program:
    """One machine at work."""

    bucket: MemoryBucket
    steps: Stepper
    machine: MemoryMachine
    behaviour: Behaviour
    report: Callable[[bytes], dict[str, object]]

    def run(self) -> None:
        """Ends with the machine gone, except when it hangs."""
        try:
            self._work()
        except Died:
            self.machine.end(exit_code=1)

    def _work(self) -> None:
        document = TaskDocument.model_validate_json(self._get("task.json", self.machine.request.env[TASK_URL_VARIABLE]))
        claim = Claim(machine_id=self.machine.id, claimed_at=self.bucket.clock.now())
        if not self._claims(document, claim):
            self.machine.end(exit_code=0)
            return
        try:
            source = self._get("contacts.db", document.urls.source_get, if_match=document.source.etag)
        except StaleWriteError:
            self._fail(document, "source_changed")
            return
        if self._goes_wrong(document):
            return
        if document.task.kind == "chunk":
            self._deliver(document, claim, source, candidates(document, source, self.behaviour))
        else:
            unusable = self._unusable_part(document, source)
            output = schedule(source, document.as_of, document.run, self.report(source))
            self._deliver(document, claim, source, output, unusable)

    def _claims(self, document: TaskDocument, claim: Claim) -> bool:
        if self._put_once("claim.json", document.urls.claim_put, claim.to_bytes()):
            return True
        standing = Claim.model_validate_json(self._get("claim.json", document.urls.claim_get))
        return standing.token == claim.token

    def _goes_wrong(self, document: TaskDocument) -> bool:
        match self.behaviour:
            case Behaviour.OUT_OF_MEMORY:
                self.machine.end(exit_code=137, oom_killed=True)
            case Behaviour.HANGS:
                return True
            case Behaviour.VANISHES:
                self.machine.forgotten = True
            case Behaviour.DIES:
                raise Died
            case Behaviour.BAD_INPUT:
                self._fail(document, "bad_input")
            case Behaviour.INTERNAL:
                self._fail(document, "internal")
            case _:
                return self._delivers_garbage(document)
        return True

    def _delivers_garbage(self, document: TaskDocument) -> bool:
        if self.behaviour in {Behaviour.GARBAGE_MANIFEST, Behaviour.GARBAGE_BOTH}:
            self._put_once("manifest.json", document.urls.manifest_put, b'{"changed": 1')
        if self.behaviour in {Behaviour.GARBAGE_ERROR, Behaviour.GARBAGE_BOTH}:
            self._put_once("error.json", document.urls.error_put, b"\xff not JSON")
        garbage = {Behaviour.GARBAGE_MANIFEST, Behaviour.GARBAGE_BOTH, Behaviour.GARBAGE_ERROR}
        if self.behaviour in garbage:
            self.machine.end(exit_code=0)
        return self.behaviour in garbage

    def _unusable_part(self, document: TaskDocument, source: bytes) -> str | None:
        """None when a merge was given the candidates of every chunk, made from its own source; else whose are bad."""
        wanted = None
        for part in document.parts:
            body = self._get("candidates.bin", part.get)
            try:
                header = read_candidates(body).header
                header.check(run=document.run, task=part.task, as_of=document.as_of, source=document.source)
            except UnreadableError:
                return part.task
            as_told = (len(body), sha256(body).hexdigest()) == (part.size_bytes, part.sha256)
            if not as_told or header.first_id != wanted or header.suppressions_sha256 != md5(source):
                return part.task
            wanted = None if header.last_id is None else header.last_id + 1
        if document.task.kind == "merge" and (not document.parts or wanted is not None):
            raise AssertionError("a merge was launched without all parts")
        return None

    def _deliver(
        self, document: TaskDocument, claim: Claim, source: bytes, output: bytes, unusable: str | None = None
    ) -> None:
        name = DELIVERIES[document.task.kind][0]
        if self.behaviour is Behaviour.EMPTY_DATABASE:
            output = b""
        if name == "contacts.db" and self.behaviour in _OTHER_DATABASES:
            output = _OTHER_DATABASES[self.behaviour](document, source)
        changed = output != source
        delivered: tuple[Delivered, ...] = ()
        if changed:
            etag = self._put(name, document.urls.deliver_put[name], output)
            if self.behaviour is Behaviour.WRONG_ETAG:
                etag = md5(b"something else")
            digest = sha256(output).hexdigest()
            delivered = (Delivered(name=name, size_bytes=len(output), sha256=digest, etag=etag),)
            if name == "contacts.db":
                delivered += (self._changeset(document, source, output),)
        now = self.bucket.clock.now()
        manifest = Manifest(
            token=claim.token,
            changed=changed,
            delivered=delivered,
            report=self.report(source) | ({"unusable": unusable} if unusable else {}),
            timings=Timings(fetch_s=0.1, pass_s=0.1, deliver_s=0.1),
            started_at=now,
            finished_at=now,
        )
        self._put_once("manifest.json", document.urls.manifest_put, manifest.to_bytes())
        if self.behaviour is Behaviour.OVERWRITES:
            self._put(name, document.urls.deliver_put[name], b"no longer what it was")
        if self.behaviour is Behaviour.ERROR_AFTER_MANIFEST:
            self._fail(document, "internal")
        self.machine.end(exit_code=0)

    def _changeset(self, document: TaskDocument, source: bytes, output: bytes) -> Delivered:
        """It says what it leads from and to."""
        body = f"{md5(source)} {md5(output)}".encode()
        etag = self._put("schedule.changeset", document.urls.deliver_put["schedule.changeset"], body)
        digest = sha256(body).hexdigest()
        return Delivered(name="schedule.changeset", size_bytes=len(body), sha256=digest, etag=etag)

    def _fail(self, document: TaskDocument, kind: str, message: str = "") -> None:
        failure = Failure.model_validate({"kind": kind, "message": message or f"The machine says: {kind}."})
        error = TryError(failure=failure, written_at=self.bucket.clock.now())
        self._put_once("error.json", document.urls.error_put, error.to_bytes())
        self.machine.end(exit_code=1)

    def _get(self, name: str, url: str, *, if_match: str | None = None) -> bytes:
        body = self._ask(
            Call(f"machine get {name}", url, writes=False), lambda: self.bucket.follow_get(url, if_match=if_match)
        )
        if body is None:
            if if_match is not None:
                raise StaleWriteError(name)
            raise Died
        return body

    def _put(self, name: str, url: str, body: bytes) -> str:
        return self._ask(Call(f"machine put {name}", url, writes=True), lambda: self.bucket.follow_put(url, body))

    def _put_once(self, name: str, url: str, body: bytes) -> bool:
        """False when it stood there already."""
        call = Call(f"machine create {name}", url, writes=True)
        try:
            self._ask(call, lambda: self.bucket.follow_put(url, body, create_only=True))
        except StaleWriteError:
            return False
        return True

    def _ask[T](self, call: Call, action: Callable[[], T]) -> T:
        """The program's own retries; a URL that no longer holds is the end."""
        for _ in range(ATTEMPTS):
            try:
                return self.steps.call(call, action)
            except TransientError:
                continue
            except RefusedUrlError:
                break
        raise Died
