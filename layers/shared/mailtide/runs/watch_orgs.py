"""The watcher's second round: uploads whose event was lost, intents and locks of ended runs, machines that nobody owns."""

from mailtide.contracts import FinishMessage, Latest
from mailtide.machines import MachineInfo
from mailtide.runs import keys, lock, store
from mailtide.runs.conclude import queue_next_plan
from mailtide.runs.naming import run_id
from mailtide.runs.pool.kept import ROLE, is_kept
from mailtide.runs.pool.upkeep import look_after, remove_strays
from mailtide.runs.publish import settle_intent
from mailtide.runs.rounds import for_each
from mailtide.runs.services import Services, StepReport


def watch_organisations(services: Services) -> list[StepReport]:
    """Compare each organisation's database with latest.json; settle what ended runs left behind."""
    return for_each(list(store.organisations(services.bucket)), lambda org: _watch_organisation(services, org))


def _watch_organisation(services: Services, org: str) -> StepReport | None:
    latest = store.read_latest(services.bucket, org)
    if latest.value.intent is not None:
        return _watch_intent(services, org, latest.value.intent.run, latest)
    holder = lock.owner(services, org)
    if holder is not None and store.read_done(services.bucket, org, holder) is not None:
        lock.release(services, org, holder)
        return StepReport("freed_lock", org, holder)
    source = store.read_source(services.bucket, org)
    if source is None or store.is_handled(latest.value, source):
        return None
    age_s = store.age_s(services.clock.now(), source.last_modified)
    opened = services.bucket.head(keys.marker(org, run_id(org, source))) is not None
    if opened or age_s < services.settings.watch_stall_s:
        return None
    return StepReport("queued_plan", org) if queue_next_plan(services, org) else None


def _watch_intent(services: Services, org: str, run: str, latest: store.Versioned[Latest]) -> StepReport | None:
    """An open run completes its intent itself; one whose marker is gone has ended and left it."""
    if services.bucket.head(keys.marker(org, run)) is not None:
        return None
    if store.read_done(services.bucket, org, run) is None:
        services.queues.send(FinishMessage(org=org, run=run))
        return StepReport("queued_finish", org, run)
    settle_intent(services, org, latest)
    return StepReport("settled_intent", org, run)


def sweep_machines(services: Services) -> list[StepReport]:
    """Destroy machines whose run has ended, or that are older than any try may be; see to those that are kept."""
    machines = services.machines.find({"role": ROLE})
    return for_each(machines, lambda machine: _sweep(services, machine)) + remove_strays(services, machines)


def _sweep(services: Services, machine: MachineInfo) -> StepReport | None:
    if is_kept(machine):
        return look_after(services, machine)
    org, run = machine.metadata.get("org", ""), machine.metadata.get("run", "")
    ended = bool(org and run) and services.bucket.head(keys.done(org, run)) is not None
    limit_s = services.settings.task_timeout_s + 120
    too_old = machine.created_at is not None and store.age_s(services.clock.now(), machine.created_at) > limit_s
    if not ended and not too_old:
        return None
    services.machines.destroy(machine.id)
    return StepReport("destroyed_machine", org, run, {"machine": machine.id})
