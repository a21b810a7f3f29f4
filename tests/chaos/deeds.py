"""What people and other parts do at a drawn moment of a run, and what machines deliver that they should not."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

from botocore.exceptions import ClientError

from mailtide.adapters.s3 import S3Bucket
from mailtide.contracts import Contract, Latest, Lock, Manifest, Message, new_token
from mailtide.errors import InputError
from mailtide.runs import cancel, keys
from tests.chaos.draw import AGAIN, CANCEL, DEMAND, EXPIRE, UPLOAD, Script
from tests.chaos.look import Look
from tests.chaos.rules import Kind
from tests.chaos.uploads import make
from tests.support.spoiled_parts import with_header, with_raw


@dataclass(frozen=True, slots=True)
class _ByHand:
    """Implements mailtide.ports.Queues, past the proxies."""

    look: Look

    def send(self, message: Message, *, delay_s: int = 0) -> None:
        """See mailtide.ports.Queues; nothing that people do is delayed."""
        del delay_s
        self.look.send(message.kind, **message.model_dump(mode="json", exclude={"kind"}), kind=message.kind)


@dataclass
class Deeds:
    """By hand, past the proxies; safe from any thread, since each is one request or two."""

    look: Look
    scripts: dict[str, Script]
    waiting: dict[str, list[int]] = field(default_factory=dict)
    """By organisation: the uploads that are still to come."""
    demands: int = 0
    cancelled: dict[str, datetime] = field(default_factory=dict)
    """Runs of which a person was told that they are cancelled, and when that was said first."""

    def do(self, deed: str, what: str) -> bool:
        """Whether it could be done. what: an organisation, or the key that is touched."""
        match deed:
            case "touch":
                return self._touch(what)
            case _ if deed == UPLOAD:
                return self.upload_next(what)
            case _ if deed == EXPIRE:
                return self._expire(what)
            case _ if deed == AGAIN:
                return self.send_again(what) > 0
            case _ if deed == DEMAND:
                return self._demand(what)
            case _ if deed == CANCEL:
                return self._cancel(what)
        return False

    def upload_next(self, org: str) -> bool:
        """The next upload of the script; False when there is none."""
        try:
            number = self.waiting[org].pop(0)
        except IndexError:
            return False
        self.upload(org, number)
        return True

    def upload(self, org: str, number: int) -> None:
        """One upload of the script."""
        upload = self.scripts[org].uploads[number]
        body = make(self.look.folder / f"{org}-{number}.db", upload)
        # Known before it stands: whoever looks must not take it for a publication.
        self.look.uploaded[hashlib.md5(body, usedforsecurity=False).hexdigest()] = upload.quality == "good"
        self.look.s3.put_object(Bucket=self.look.bucket, Key=keys.source(org), Body=body)

    def _touch(self, key: str) -> bool:
        """Somebody else of the same right writes lock.json or latest.json first, with a token of their own."""
        model: type[Latest | Lock] = Lock if key.endswith("/lock.json") else Latest
        return self._rewrite(key, model, {})

    def _expire(self, org: str) -> bool:
        """The lock runs out while its holder is at work, and another may take it."""
        lock = self.look.read(keys.lock(org), Lock)
        if lock is None or lock.owner is None:
            return False
        return self._rewrite(keys.lock(org), Lock, {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)})

    def _rewrite(self, key: str, model: type[Latest | Lock], changes: dict[str, object]) -> bool:
        try:
            stored = self.look.s3.get_object(Bucket=self.look.bucket, Key=key)
            value: Contract = model.model_validate_json(stored["Body"].read())
            body = value.model_copy(update={"token": new_token(), **changes}).to_bytes()
            self.look.s3.put_object(Bucket=self.look.bucket, Key=key, Body=body, IfMatch=stored["ETag"])
        except ClientError:
            return False
        return True

    def _demand(self, org: str) -> bool:
        self.demands += 1
        self.look.send("plan", kind="plan", org=org, trigger="demand", request_id=f"chaos-{self.demands}")
        return True

    def _cancel(self, org: str) -> bool:
        """As `mailtide runs cancel` does, for every open run of the organisation."""
        bucket, told = S3Bucket(self.look.bucket, self.look.s3), False
        for run in [entry["Key"].rpartition("/")[2] for entry in self.look.listed(f"{keys.OPEN}{org}/")]:
            try:
                said = cancel.cancel(
                    bucket, _ByHand(self.look), org, run, by="chaos", reason=None, now=datetime.now(UTC)
                )
            except InputError:
                continue
            self.cancelled[run], told = said.decided_at, True
        return told

    def send_again(self, org: str) -> int:
        """Every message that any run of the organisation could have had, in no order; how many."""
        sent = [("plan", {"org": org})]
        for entry in self.look.listed(f"{keys.RUNS}{org}/"):
            parsed = keys.parse_try(entry["Key"])
            run = {"org": org, "run": entry["Key"].split("/")[2]}
            if parsed is not None and parsed[1] == "task.json":
                one = {**run, "task": parsed[0].task, "attempt": parsed[0].attempt}
                sent += [("launch", one), ("collect", one)]
            elif entry["Key"].endswith("/plan.json"):
                sent += [("plan", run), ("finish", run)]
        Random(len(sent)).shuffle(sent)
        for queue, message in sent:
            self.look.send(queue, kind=queue, **message)
        return len(sent)

    def forge(self, kind: Kind, key: str, body: bytes) -> bytes | None:
        """What goes out in a manifest's place; None when there is nothing to forge it from."""
        parsed = keys.parse_try(key)
        if parsed is None:
            return None
        paths, _ = parsed
        match kind:
            case "garbage manifest":
                return b'{"token": "\xff garbage'
            case "foreign manifest":
                return self._foreign_manifest(paths)
            case "delivery overwritten":
                return self._overwrite(paths, body)
            case "garbage database":
                return self._with_database(paths, body)
            case _ if not paths.task.startswith("chunk"):
                return None
            case "foreign part":
                return self._with_candidates(paths, body, self._foreign_part(paths))
            case _:
                own = self.look.body(paths.delivered("candidates.bin"))
                # Only the merge reads so far.
                return self._with_candidates(paths, body, with_raw(own, lambda raw: raw[:-8]))

    def _foreign_manifest(self, paths: keys.TryKeys) -> bytes | None:
        for entry in self.look.listed(keys.RUNS):
            if entry["Key"].endswith("/manifest.json") and paths.run not in entry["Key"]:
                return self.look.body(entry["Key"])
        return None

    def _overwrite(self, paths: keys.TryKeys, body: bytes) -> bytes | None:
        manifest = Manifest.model_validate_json(body)
        if not manifest.delivered:
            return None
        key = paths.delivered(manifest.delivered[0].name)
        self.look.s3.put_object(Bucket=self.look.bucket, Key=key, Body=b"something else " * 100)
        return body

    def _with_database(self, paths: keys.TryKeys, body: bytes) -> bytes | None:
        """Put something else in the place of the database that was delivered, and give it a manifest that fits."""
        manifest = json.loads(body)
        delivered = next((one for one in manifest["delivered"] if one["name"] == "contacts.db"), None)
        if delivered is None:
            return None
        key = paths.delivered("contacts.db")
        garbage = self._garbage(paths, self.look.body(key))
        etag = self.look.s3.put_object(Bucket=self.look.bucket, Key=key, Body=garbage)["ETag"].strip('"')
        delivered |= {"etag": etag, "size_bytes": len(garbage), "sha256": hashlib.sha256(garbage).hexdigest()}
        return json.dumps(manifest).encode()

    def _garbage(self, paths: keys.TryKeys, own: bytes) -> bytes:
        """Noise, or a file without its end, or the source without a schedule, or the schedule of another run: by the run's id."""
        random = Random(f"garbage {paths.run} {paths.task} {paths.attempt}")
        source = self.look.body(keys.source(paths.org))
        others = [entry["Key"] for entry in self.look.listed(keys.RUNS) if entry["Key"].endswith("/contacts.db")]
        foreign = [self.look.body(key) for key in others if paths.run not in key]
        return random.choice((random.randbytes(len(own)), own[: len(own) // 2], source, *foreign[:1]))

    def _foreign_part(self, paths: keys.TryKeys) -> bytes:
        """Candidates of another chunk or run; where there are none, its own with another run's name."""
        own = paths.delivered("candidates.bin")
        others = [entry["Key"] for entry in self.look.listed(keys.RUNS) if entry["Key"].endswith("/candidates.bin")]
        others = [key for key in others if key != own]
        return self.look.body(others[0]) if others else with_header(self.look.body(own), run="f" * 20)

    def _with_candidates(self, paths: keys.TryKeys, body: bytes, candidates: bytes) -> bytes:
        """Put candidates in the place of those delivered, and give them a manifest that fits."""
        key = paths.delivered("candidates.bin")
        etag = self.look.s3.put_object(Bucket=self.look.bucket, Key=key, Body=candidates)["ETag"].strip('"')
        facts = {"etag": etag, "size_bytes": len(candidates), "sha256": hashlib.sha256(candidates).hexdigest()}
        manifest = json.loads(body)
        manifest["delivered"][0] |= facts
        return json.dumps(manifest).encode()
