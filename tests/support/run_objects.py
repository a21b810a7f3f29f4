"""The objects of invented runs, as the functions and machines leave them in the bucket."""

import hashlib
import math
from datetime import UTC, date, datetime, timedelta

from mailtide.contracts import (
    Contract,
    Cost,
    Delivered,
    Done,
    Failure,
    Inspection,
    Latest,
    Launch,
    MachineUse,
    Manifest,
    OpenMarker,
    Part,
    Plan,
    Result,
    SourceRef,
    Step,
    TaskPlan,
    Timings,
    TryError,
)
from mailtide.machines import MachineSize
from mailtide.ports import Bucket
from mailtide.runs import keys, store

SIZE = MachineSize(cpu_kind="shared", cpus=2, memory_mb=2_048)
FAILURE = "The machine ran out of memory (shared-cpu-2x, 2048 MB). (3 tries)"
HELD = "The run would delete 61,204 of 98,310 planned mails (62 %), and 30 % is the limit."
TYPES = {"birthday": 210, "effective_date": 150, "aep": 0, "post_window": 34, "followup_1_cold": 60}


def run_name(org: str, number: int) -> str:
    """A run's id, always the same."""
    return hashlib.sha256(f"{org}/{number}".encode()).hexdigest()[:20]


def report_of(as_of: date, contacts: int, warnings: tuple[str, ...] = ()) -> dict[str, object]:
    """What a pass would say."""
    days = range(365)
    counts = {
        name: [round(top * (1 + 0.5 * math.sin(place / 18 + top)) * contacts / 100_000) for place in days]
        for name, top in TYPES.items()
    }
    counts["aep"] = [round(contacts / 40) if 290 <= place <= 300 else 0 for place in days]
    planned = {name: sum(values) for name, values in counts.items()}
    return {
        "as_of": as_of.isoformat(),
        "contacts": contacts,
        "eligible": contacts - contacts // 25,
        "skipped_contacts": {
            "invalid_email": contacts // 50,
            "no_state": contacts // 90,
            "suppressed": contacts // 400,
        },
        "rows": {name: {"pre-scheduled": count, "skipped": count // 9} for name, count in planned.items()},
        "skips": {"exclusion_window": sum(planned.values()) // 9},
        "daily": {"first_day": as_of.isoformat(), "counts": counts, "later": 0},
        "inserted": sum(planned.values()) // 300,
        "updated": 12,
        "deleted": sum(planned.values()) // 310,
        "unchanged": sum(planned.values()),
        "changed": True,
        "notes": {"state_zip_mismatch": contacts // 120, "smoothed": contacts // 11},
        "warnings": list(warnings),
    }


class RunObjects:
    """Writes them. `now` is when the last thing happened."""

    def __init__(self, bucket: Bucket, now: datetime | None = None) -> None:
        self.bucket = bucket
        self.now = now or datetime.now(UTC)

    def organisation(self, org: str, *, rules: str | None = None, body: bytes = b"x" * 4_096) -> SourceRef:
        """Its database and rules."""
        self.bucket.create(keys.source(org), body)
        if rules is not None:
            self.bucket.create(keys.rules(org), rules.encode())
        source = store.read_source(self.bucket, org)
        assert source is not None
        return source

    def latest(self, org: str, done: Done, source: SourceRef) -> None:
        """The run that dealt with the database."""
        assert done.status != "superseded"
        self._put(
            keys.latest(org),
            Latest(run=done.run, status=done.status, source=source, as_of=done.as_of, published_etag=None),
        )

    def planned(self, org: str, number: int, source: SourceRef, opened: datetime, contacts: int) -> Plan:
        """plan.json."""
        plan = Plan(
            org=org,
            run=run_name(org, number),
            trigger="timer",
            source=source,
            as_of=opened.date(),
            planned_at=opened + timedelta(seconds=1.4),
            opened_at=opened,
            rules_yaml=None,
            rules_sha256="5f2b" * 16,
            inspection=Inspection(
                contacts_estimate=contacts + 213, page_size_bytes=4_096, requests=9, bytes_read=180_224
            ),
            tasks=(TaskPlan(task="whole", kind="whole", sizes=(SIZE,), threads=2),),
            deadline_s=60,
            expected_s=6.2,
            expected_usd=0.004_1,
        )
        self._put(keys.plan(org, plan.run), plan)
        return plan

    def launched(self, plan: Plan, attempt: int = 1) -> tuple[keys.TryKeys, Launch]:
        """task.json and launch.json of a try."""
        paths = keys.TryKeys(plan.org, plan.run, "whole", attempt)
        at = plan.planned_at + timedelta(seconds=2.1 + 40 * (attempt - 1))
        machine_id = hashlib.sha256(f"{plan.run}{attempt}".encode()).hexdigest()[:14]
        launch = Launch(
            machine_id=machine_id, machine_name=f"mailtide-{machine_id}", region="iad", size=SIZE, launched_at=at
        )
        self.bucket.create(paths.document, b'{"urls": "secret-address"}')
        self._put(paths.launch, launch)
        return paths, launch

    def working(self, org: str, number: int, source: SourceRef, contacts: int = 98_310) -> Plan:
        """A run whose machine is at work."""
        opened = self.now - timedelta(seconds=9)
        plan = self.planned(org, number, source, opened, contacts)
        marker = OpenMarker(
            org=org, run=plan.run, trigger="timer", source=source, as_of=plan.as_of, opened_at=plan.opened_at
        )
        self._put(keys.marker(org, plan.run), marker)
        paths, _ = self.launched(plan)
        self.bucket.create(paths.claim, b"{}")
        return plan

    def published(
        self, org: str, number: int, source: SourceRef, opened: datetime, contacts: int = 98_310, *, held: bool = False
    ) -> Done:
        """A run that went straight, or one that a person must decide about."""
        plan = self.planned(org, number, source, opened, contacts)
        paths, launch = self.launched(plan)
        self.bucket.create(paths.claim, b"{}")
        self.bucket.create(paths.delivered("contacts.db"), b"the database with its schedule" * 100)
        started = launch.launched_at + timedelta(seconds=1.9)
        report = report_of(plan.as_of, contacts)
        manifest = Manifest(
            token="t" * 32,
            changed=True,
            delivered=(Delivered(name="contacts.db", size_bytes=3_000, sha256="0" * 64, etag="e"),),
            report=report,
            timings=Timings(fetch_s=0.41, pass_s=1.27, deliver_s=0.38),
            started_at=started,
            finished_at=started + timedelta(seconds=2.2),
        )
        self._put(paths.manifest, manifest)
        part = Part(task="whole", attempt=1, manifest=manifest)
        self._put(keys.part(org, plan.run, "whole"), part)
        failure = Failure(kind="held", message=HELD) if held else None
        decided = manifest.finished_at + timedelta(seconds=0.8)
        return self._end(plan, Result(part=part, failure=failure, tries=1, decided_at=decided), launch, report)

    def failed(
        self, org: str, number: int, source: SourceRef, opened: datetime, reason: str = FAILURE, tries: int = 3
    ) -> Done:
        """A run that failed with all its tries."""
        plan = self.planned(org, number, source, opened, 250_000)
        for attempt in range(1, tries + 1):
            paths, launch = self.launched(plan, attempt)
            failure = Failure(kind="out_of_memory", message=reason)
            self._put(paths.error, TryError(failure=failure, written_at=launch.launched_at + timedelta(seconds=21)))
        decided = launch.launched_at + timedelta(seconds=22)
        return self._end(plan, Result(failure=failure, tries=tries, decided_at=decided), launch, None)

    def _end(self, plan: Plan, result: Result, launch: Launch, report: dict[str, object] | None) -> Done:
        self._put(keys.result(plan.org, plan.run), result)
        kind = result.failure.kind if result.failure else ""
        finished = result.decided_at + timedelta(seconds=1.1)
        moments = [
            ("uploaded", min(plan.source.last_modified, plan.opened_at - timedelta(seconds=40))),
            ("opened", plan.opened_at),
            ("planned", plan.planned_at),
            ("launched", launch.launched_at),
            ("decided", result.decided_at),
            ("finished", finished),
        ]
        manifest = result.part.manifest if result.part else None
        if manifest is not None:
            moments[4:4] = [("machine started", manifest.started_at), ("machine finished", manifest.finished_at)]
        done = Done(
            org=plan.org,
            run=plan.run,
            status="held" if kind == "held" else "failed" if result.failure else "published",
            reason=result.failure.message if result.failure else None,
            changed=result.failure is None,
            as_of=plan.as_of,
            report=report,
            steps=tuple(Step(name=name, at=at) for name, at in moments),
            machine=launch,
            machines=(MachineUse(task="whole", attempt=result.tries, launch=launch, seconds=4.1, usd=0.000_022),),
            cost=Cost(machine_s=4.1, machine_usd=0.000_022, egress_usd=0.002_9, requests_usd=0.000_225),
            tries=result.tries,
            finished_at=finished,
        )
        self._put(keys.done(plan.org, plan.run), done)
        return done

    def _put(self, key: str, value: Contract) -> None:
        self.bucket.create(key, value.to_bytes())
