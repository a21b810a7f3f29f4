"""What must hold at every moment, and what must hold when all has come to rest."""

import re
from collections import defaultdict
from datetime import datetime

from mailtide.contracts import Done, Latest, Lock, Plan, PlanMessage, PublishedFile
from mailtide.runs import keys, store
from tests.model.simulation.databases import computed_from
from tests.model.simulation.world import World
from tests.support.memory_bucket import Written, md5

_ONCE = re.compile(r"runs/[^/]+/[0-9a-f]{20}/(plan|result|done|parts/[^/]+)\.json")


class Violation(AssertionError):  # noqa: N818 - the word of the field
    """The protocol broke a promise."""


class Monitor:
    """Watches every write to the bucket. Raises Violation inside the very call that breaks a promise."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.published: list[Written] = []
        self.versions: dict[str, dict[tuple[str, datetime], int]] = defaultdict(dict)
        """By organisation: the number of each version of its database, in the order in which they came."""
        self.failed: Violation | None = None
        world.bucket.observers.append(self._observe)

    def _observe(self, written: Written) -> None:
        try:
            self._check(written)
        except Violation as error:
            self.failed = self.failed or error

    def raise_if_failed(self) -> None:
        """The first violation, once the process that caused it has stood still."""
        if self.failed is not None:
            raise self.failed

    def _check(self, written: Written) -> None:
        if _ONCE.fullmatch(written.key) and written.before is not None:
            raise Violation(f"{written.key} was written twice")
        if written.key.endswith("/tasks/merge/1/task.json"):
            self._check_merge(written)
        org = keys.parse_source(written.key)
        if org is not None:
            self._check_source(org, written)
        elif written.key.endswith("/lock.json"):
            _check_lock(written)
        elif written.key.endswith("/latest.json"):
            self._check_latest(written)

    def _check_merge(self, written: Written) -> None:
        """A merge is launched when all chunks have their parts, and not before."""
        _, org, run, *_ = written.key.split("/")
        plan = store.read_plan(self.world.bucket, org, run)
        if plan is None or not all(self._exists(keys.part(org, run, task.task)) for task in plan.tasks[:-1]):
            raise Violation("a merge was launched before its parts stood")

    def _check_source(self, org: str, written: Written) -> None:
        if written.after is not None:
            seen = self.versions[org]
            seen[written.after.etag, written.after.last_modified] = len(seen) + 1
        if written.by != "complete_copy":
            return
        if written.before is None or written.after is None:
            raise Violation("published over nothing")
        if computed_from(written.after.body) != md5(written.before.body):
            raise Violation("published over a version that it was not computed from")
        self.published.append(written)

    def _check_latest(self, written: Written) -> None:
        if written.after is None:
            raise Violation("latest.json was deleted")
        org = written.key.split("/")[1]
        latest = Latest.model_validate_json(written.after.body)
        if latest.intent is not None and not self._exists(keys.result(org, latest.intent.run)):
            raise Violation("an intent of a run without a result")
        before = Latest.model_validate_json(written.before.body) if written.before else Latest()
        self._check_shared(org, latest, before)
        if self._number(org, latest) < self._number(org, before):
            raise Violation("latest.json went back to an older version of the database")
        if latest.published_etag is not None and latest.status == "published" and latest.run != before.run:
            self._check_published(org, latest)

    def _check_published(self, org: str, latest: Latest) -> None:
        known = {etag for etag, _ in self.versions[org]}
        if latest.published_etag not in known:
            raise Violation("latest.json names a publication that never was")

    def _check_shared(self, org: str, latest: Latest, before: Latest) -> None:
        """What latest.json names is there, and made from what its run was to read; sync mode `changeset` replaces nothing."""
        objects = self.world.bucket.objects
        if latest.intent is not None:
            plan = store.read_plan(self.world.bucket, org, latest.intent.run)
            if plan is None or plan.sync == "changeset":
                raise Violation("an intent to replace a database that is to stay")
        if latest.run == before.run or latest.status != "published":
            return
        if any(link.key not in objects for link in latest.chain if link.run == latest.run):
            raise Violation("latest.json names a changeset that is not there")
        if latest.file is not None and latest.file.run == latest.run:
            self._check_file(org, latest.file, before)

    def _check_file(self, org: str, file: PublishedFile, before: Latest) -> None:
        stored, plan = self.world.bucket.objects.get(file.key), store.read_plan(self.world.bucket, org, file.run)
        if plan is None:
            raise Violation("published without a plan")
        if stored is None or stored.etag != file.etag:
            raise Violation("latest.json names a file that is not there")
        if "-" not in plan.read.etag and computed_from(stored.body) != plan.read.etag:
            raise Violation("published a schedule that was not computed from what its run was to read")
        if plan.file is not None and before.file != plan.file:
            raise Violation("the chain of published schedules has a fork")

    def _number(self, org: str, latest: Latest) -> int:
        if latest.source is None:
            return 0
        return self.versions[org].get((latest.source.etag, latest.source.last_modified), 0)

    def _exists(self, key: str) -> bool:
        return key in self.world.bucket.objects


def _check_lock(written: Written) -> None:
    if written.after is None:
        raise Violation("lock.json was deleted")
    after = Lock.model_validate_json(written.after.body)
    if written.before is not None and after.epoch < Lock.model_validate_json(written.before.body).epoch:
        raise Violation("the epoch of the lock fell")


def at_rest(world: World) -> str | None:
    """None when nothing is left to do; else what is."""
    objects = world.bucket.objects
    left = [key for key in objects if key.startswith(keys.OPEN)]
    if left:
        return f"open markers: {left}"
    if world.queues.waiting or world.machines.living:
        return f"messages: {len(world.queues.waiting)}, machines: {len(world.machines.living)}"
    for org in store.organisations(world.bucket):
        why = _organisation_at_rest(world, org)
        if why:
            return f"{org}: {why}"
    return None


def _organisation_at_rest(world: World, org: str) -> str | None:
    latest = store.read_latest(world.bucket, org).value
    if latest.intent is not None:
        return "an intent is left"
    lock = store.read(world.bucket, keys.lock(org), Lock)
    if lock is not None and lock.owner is not None:
        return f"the lock is held by {lock.owner}"
    source = store.read_source(world.bucket, org)
    if source is not None and not store.is_handled(latest, source):
        return "the database was not handled"
    return None


def check_end(world: World, monitor: Monitor) -> None:
    """When all is at rest: every upload that stands, or that we replaced, has exactly one ending that fits it."""
    monitor.raise_if_failed()
    if world.surprises:
        raise Violation(f"an unexpected error came out: {world.surprises[0]}")
    for org in store.organisations(world.bucket):
        ended = _endings(world, org)
        _check_announcements(world, ended)
        _check_publications(world, org, monitor, ended)
        _check_standing(world, org, ended)
        for run, (plan, done) in ended.items():
            if plan is not None and done.cost is None:
                raise Violation(f"run {run} was planned, and says no cost")
            if done.cancelled is not None and (done.status != "failed" or done.published_etag is not None):
                raise Violation(f"run {run} was cancelled and ended as {done.status}")


def _endings(world: World, org: str) -> dict[str, tuple[Plan | None, Done]]:
    found = {}
    for info in world.bucket.list(f"{keys.RUNS}{org}/"):
        if info.key.endswith("/done.json"):
            run = info.key.split("/")[2]
            done = store.read_done(world.bucket, org, run)
            if done is not None:
                found[run] = (store.read_plan(world.bucket, org, run), done)
        elif info.key.endswith("/plan.json") and info.key.replace("plan.json", "done.json") not in world.bucket.objects:
            raise Violation(f"{info.key} has no ending")
    return found


def _check_announcements(world: World, ended: dict[str, tuple[Plan | None, Done]]) -> None:
    announced = {event.run: event.status for event in world.announcer.events}
    for run, (_, done) in ended.items():
        if announced.get(run) != done.status:
            raise Violation(f"run {run} ended as {done.status} and was announced as {announced.get(run)}")


def _check_publications(world: World, org: str, monitor: Monitor, ended: dict[str, tuple[Plan | None, Done]]) -> None:
    """A publication that stands has exactly one run that says so; one that was replaced since, at most one."""
    standing = world.current(org)
    ours = [written for written in monitor.published if written.key == keys.source(org)]
    for written in ours:
        runs = [run for run, (plan, done) in ended.items() if plan and _claims(plan, done, written)]
        alike = [other for other in ours if _etags(other) == _etags(written)]
        if len(runs) > len(alike):
            raise Violation(f"{runs} claim {len(alike)} publications")
        if written.after is standing and not runs:
            raise Violation("a schedule stands published, and no run says so")


def _claims(plan: Plan, done: Done, written: Written) -> bool:
    claimed = (plan.source.etag, done.published_etag)
    return done.status == "published" and done.changed and claimed == _etags(written)


def _etags(written: Written) -> tuple[str | None, str | None]:
    return (written.before.etag if written.before else None, written.after.etag if written.after else None)


def _check_standing(world: World, org: str, ended: dict[str, tuple[Plan | None, Done]]) -> None:
    """A customer's version that stands has one ending of its own: a failure, or a pass that found nothing to change."""
    source = store.read_source(world.bucket, org)
    latest = store.read_latest(world.bucket, org).value
    if source is None or source.etag == latest.published_etag:
        return
    own = [
        done.status
        for plan, done in ended.values()
        if plan and store.same_source(plan.source, source) and plan.trigger == "upload" and done.status != "superseded"
    ]
    restored = any(written.by == "restore" and written.after is world.current(org) for written in world.history)
    if not own or (len(own) > 1 and not restored):
        raise Violation(f"the standing upload has the endings {own}")


def check_quiet(world: World) -> None:
    """More rounds, and every event once more, change nothing: our own output starts no run, a failure is not tried for ever."""
    before = dict(world.bucket.objects)
    machines = len(world.machines.machines)
    for org in list(store.organisations(world.bucket)):
        world.queues.send(PlanMessage(org=org))
    for _ in range(3):
        world.watch_round()
    if world.bucket.objects != before or len(world.machines.machines) != machines:
        changed = {
            key
            for key in before.keys() | world.bucket.objects.keys()
            if before.get(key) != world.bucket.objects.get(key)
        }
        raise Violation(f"at rest, and yet it moved: {sorted(changed)}")
