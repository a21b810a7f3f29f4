"""The tail of a run, always in this order: latest.json, done.json, the event and the webhook, the lock, the machines, what
they delivered, the next plan, and the open/ marker last. Each effect is idempotent, and as long as the marker stands the
tail is run again."""

from mailtide.contracts import DELIVERED_NAMES, Done, PlanMessage
from mailtide.runs import keys, lock, store
from mailtide.runs.pool.kept import ROLE, is_kept, is_startable
from mailtide.runs.services import Services, StepReport
from mailtide.runs.webhook import finished, queue_webhook


def run_tail(services: Services, done: Done) -> None:
    """Everything after done.json: announce, free the lock and the machines, delete what was delivered, see to the next
    source, close the marker."""
    services.announcer.run_finished(finished(done))
    queue_webhook(services, done)
    lock.release(services, done.org, done.run)
    if done.tries != 1 or done.status != "published":
        _destroy_machines(services, done)
    _delete_deliveries(services, done)
    queue_next_plan(services, done.org)
    services.bucket.delete(keys.marker(done.org, done.run))


def _destroy_machines(services: Services, done: Done) -> None:
    """A run that went straight needs no look: its machines have delivered and remove themselves."""
    plan = store.read_plan(services.bucket, done.org, done.run)
    if plan is None or not plan.tasks:
        return
    for machine in services.machines.find({"role": ROLE, "run": done.run}):
        if not (is_kept(machine) and is_startable(machine)):
            services.machines.destroy(machine.id)


def _delete_deliveries(services: Services, done: Done) -> None:
    """What the machines delivered is published by now, or never will be; it is people's data. The manifests stay."""
    for info in list(services.bucket.list(keys.tasks(done.org, done.run))):
        if info.key.rpartition("/")[2] in DELIVERED_NAMES:
            services.bucket.delete(info.key)


def queue_next_plan(services: Services, org: str) -> bool:
    """Queue a plan when the organisation's database is one that nothing has handled."""
    source = store.read_source(services.bucket, org)
    if source is None or store.is_handled(store.read_latest(services.bucket, org).value, source):
        return False
    services.queues.send(PlanMessage(org=org))
    return True


def close(services: Services, done: Done) -> StepReport:
    """Create done.json, or take the one that stands, and run the tail."""
    standing = store.create_once(services.bucket, keys.done(done.org, done.run), done)
    run_tail(services, standing)
    facts: dict[str, object] = {"status": standing.status, "changed": standing.changed, "reason": standing.reason}
    return StepReport("finished", done.org, done.run, facts)
