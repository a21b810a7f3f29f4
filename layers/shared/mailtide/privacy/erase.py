"""Erasing a person: feedback, what runs left, the database itself, and every older version. In an order in which a crash
leaves nothing that a second call does not find: the database, which knows the person's ids, is cleaned last but for its
older versions."""

import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from mailtide.contracts import DELIVERED_NAMES, MAX_FEEDBACK_BYTES, SourceRef, new_token
from mailtide.database.erase_person import Erased, Person, address_pattern, erase, find_person
from mailtide.database.values import is_email, normal_email
from mailtide.errors import BudgetExceededError, InputError, MailtideError, StaleWriteError
from mailtide.ports import ObjectInfo, VersionedBucket
from mailtide.privacy.feedback_lines import without_person
from mailtide.runs import keys, lock, store
from mailtide.runs.services import Services

type Say = Callable[[str], None]


@dataclass(slots=True)
class Erasure:
    """What was removed, or with a dry run would be. Every number is of rows, lines or objects."""

    email: str
    contacts: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    """Of the database, by table."""
    feedback_lines: int = 0
    feedback_files: int = 0
    objects: dict[str, int] = field(default_factory=dict)
    """Deleted, by kind: what runs left, older versions."""
    left: list[str] = field(default_factory=list)
    """What could not be removed, one sentence each."""


def erase_person(
    services: Services, bucket: VersionedBucket, org: str, email: str, *, suppress: bool, dry_run: bool, say: Say
) -> Erasure:
    """Remove a person from everything of an organisation. Safe to repeat, and to be repeated after any error.

    suppress: keep the address among the suppressions. InputError when a run is at work (but not for a dry run), or the
    address is none; MailtideError when the database is replaced meanwhile.
    """
    if not is_email(email):
        raise InputError(f"{email!r} is no e-mail address.")
    work = _Work(services, bucket, org, normal_email(email) or "", suppress, dry_run, say, secrets.token_hex(10))
    if dry_run:
        return work.run()
    if lock.take(services, org, work.owner) is None:
        raise InputError(f"A run of {org!r} is at work; try again when it has ended (mailtide runs list {org}).")
    try:
        return work.run()
    finally:
        lock.release(services, org, work.owner)


@dataclass(slots=True)
class _Work:
    services: Services
    bucket: VersionedBucket
    org: str
    email: str
    suppress: bool
    dry_run: bool
    say: Say
    owner: str

    def run(self) -> Erasure:
        erasure = Erasure(self.email)
        with TemporaryDirectory(prefix="mailtide-erase-") as folder:
            path = Path(folder) / "contacts.db"
            source = store.read_source(self.services.bucket, self.org)
            person = Person(self.email, frozenset(), frozenset())
            if source is not None:
                self.say("reading the database")
                self._fetch(source, path)
                person = find_person(path, self.email)
            erasure.contacts = len(person.ids)
            ledger = self._clean_feedback(Path(folder), person, erasure)
            self._delete_objects(erasure)
            if source is not None:
                self._clean_database(path, source, person, ledger, erasure)
            self._delete_versions(erasure)
        self._look_for_the_rest(erasure)
        return erasure

    def _step(self, what: str) -> None:
        """Tell, and hold the lock for the next step. MailtideError when it was lost."""
        self.say(what)
        if not self.dry_run and not lock.renew(self.services, self.org, self.owner):
            raise MailtideError(f"The lock of {self.org!r} was lost; not everything was removed, so call this again.")

    def _fetch(self, source: SourceRef, path: Path) -> None:
        try:
            self.bucket.fetch(keys.source(self.org), path, etag=source.etag)
        except StaleWriteError:
            raise self._replaced(keys.source(self.org)) from None

    def _replaced(self, key: str) -> MailtideError:
        return MailtideError(f"{key} was replaced meanwhile; not everything was removed, so call this again.")

    # Feedback.

    def _clean_feedback(self, folder: Path, person: Person, erasure: Erasure) -> dict[tuple[str, str], str]:
        """Take the person's lines out of every file; what the ledger must know: (name, ETag) -> new ETag."""
        self._step("feedback files")
        ledger: dict[tuple[str, str], str] = {}
        prefix = keys.feedback(self.org)
        for info in list(self.bucket.list(prefix)):
            if info.size_bytes > MAX_FEEDBACK_BYTES:
                erasure.left.append(f"{info.key} is too large to be looked through; no run takes it, so delete it.")
                continue
            body = self._body(info, folder)
            found = without_person(body, person, is_csv=info.key.lower().endswith(".csv"))
            if not found.removed:
                continue
            erasure.feedback_lines += found.removed
            erasure.feedback_files += 1
            if not self.dry_run:
                etag = self._rewrite(info.key, found.body, info.etag)
                ledger[info.key.removeprefix(prefix), info.etag] = etag
        return ledger

    def _body(self, info: ObjectInfo, folder: Path) -> bytes:
        path = folder / "feedback"
        try:
            self.bucket.fetch(info.key, path, etag=info.etag)
        except StaleWriteError:
            raise self._replaced(info.key) from None
        return path.read_bytes()

    def _rewrite(self, key: str, body: bytes, expected_etag: str) -> str:
        try:
            return self.bucket.replace(key, body, expected_etag=expected_etag)
        except StaleWriteError:
            raise self._replaced(key) from None

    # What runs left.

    def _delete_objects(self, erasure: Erasure) -> None:
        """Every database, schedule and changeset of every run: they cannot be rewritten, and are made anew by the next one."""
        self._step("what runs left")
        counts: Counter[str] = Counter()
        for prefix in (
            f"{keys.RUNS}{self.org}/", f"{keys.CHANGES}{self.org}/", f"{keys.EXPORTS}{self.org}/",
            keys.published_folder(self.org),
        ):  # fmt: skip
            for info in list(self.bucket.list(prefix)):
                name = info.key.rpartition("/")[2]
                if prefix.startswith(keys.RUNS) and name not in DELIVERED_NAMES:
                    continue
                counts["run objects"] += 1
                if not self.dry_run:
                    self.bucket.delete(info.key)
        erasure.objects.update(counts)
        if not self.dry_run:
            self._forget_changesets()

    def _forget_changesets(self) -> None:
        """latest.json must name nothing that was deleted."""
        latest = store.read_latest(self.services.bucket, self.org)
        if latest.etag is None or (latest.value.file is None and not latest.value.chain):
            return
        wanted = latest.value.model_copy(update={"token": new_token(), "file": None, "chain": ()})
        store.write_latest(self.services.bucket, self.org, wanted, expected_etag=latest.etag)

    # The database.

    def _clean_database(
        self, path: Path, source: SourceRef, person: Person, ledger: dict[tuple[str, str], str], erasure: Erasure
    ) -> None:
        self._step("the database")
        erased: Erased = erase(path, person, suppress=self.suppress, ledger=ledger)
        erasure.rows = erased.rows
        erasure.left += [
            f"The database still holds the address in {where}: in rows of others, or within a text."
            for where in erased.left
        ]
        if self.dry_run or not erased.changed:
            return
        self._step("putting the database back")
        try:
            self.bucket.put_whole(keys.source(self.org), path, expected_etag=source.etag)
        except StaleWriteError:
            raise self._replaced(keys.source(self.org)) from None

    # Older versions.

    def _delete_versions(self, erasure: Erasure) -> None:
        """Every older version of the database, of feedback, and of what runs left; a deleted object's versions are all older."""
        self._step("older versions")
        counts: Counter[str] = Counter()
        wanted = (
            keys.source(self.org), keys.feedback(self.org), keys.published_folder(self.org), f"{keys.RUNS}{self.org}/",
            f"{keys.CHANGES}{self.org}/", f"{keys.EXPORTS}{self.org}/",
        )  # fmt: skip
        for prefix in wanted:
            for version in list(self.bucket.versions(prefix)):
                if version.is_latest or version.is_marker:
                    continue
                kind = "older databases" if version.key == keys.source(self.org) else "older versions of other objects"
                counts[kind] += 1
                if not self.dry_run:
                    self.bucket.delete_version(version.key, version.version_id)
        erasure.objects.update(counts)

    def _look_for_the_rest(self, erasure: Erasure) -> None:
        """Small objects that name the address all the same. Nothing of ours does; a customer may have put it anywhere."""
        self._step("a last look")
        pattern = address_pattern(self.email)
        for prefix in (f"{keys.ORGS}{self.org}/", f"{keys.RUNS}{self.org}/"):
            for info in list(self.bucket.list(prefix)):
                if info.key == keys.source(self.org) or info.key.startswith(keys.feedback(self.org)):
                    continue
                try:
                    stored = self.bucket.get(info.key)
                except BudgetExceededError:
                    erasure.left.append(f"{info.key} is too large to be looked through.")
                    continue
                text = stored.body.decode("utf-8", "replace").lower() if stored is not None else ""
                if pattern.search(text) and not self._goes(info.key):
                    erasure.left.append(f"{info.key} still holds the address.")

    def _goes(self, key: str) -> bool:
        """Whether a dry run would have deleted it."""
        return self.dry_run and (
            key.rpartition("/")[2] in DELIVERED_NAMES or key.startswith(keys.published_folder(self.org))
        )
