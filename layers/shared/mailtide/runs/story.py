"""done.json: how a run went, step by step, and what it cost."""

from typing import Literal

from mailtide.contracts import Cost, Done, Handled, Launch, Plan, Result, Step
from mailtide.runs import keys, store
from mailtide.runs.feedback import told
from mailtide.runs.services import Services
from mailtide.runs.sizing import egress_usd, machine_usd, requests_usd


def done_of(
    services: Services,
    plan: Plan,
    result: Result,
    status: Literal["superseded"] | Handled,
    reason: str | None,
    published_etag: str | None,
) -> Done:
    """The end of a planned run, told from its objects."""
    part = result.part
    launch = _launch(services, plan, part.attempt if part else result.tries)
    manifest = part.manifest if part else None
    return Done(
        org=plan.org,
        run=plan.run,
        status=status,
        reason=reason,
        changed=status == "published" and manifest is not None and manifest.changed,
        published_etag=published_etag,
        as_of=plan.as_of,
        report=told(plan, manifest.report) if manifest else None,
        steps=_steps(services, plan, result, launch),
        machine=launch,
        cost=_cost(services, plan, result, launch),
        tries=result.tries,
        finished_at=services.clock.now(),
    )


def _launch(services: Services, plan: Plan, attempt: int) -> Launch | None:
    if attempt < 1:
        return None
    task = plan.tasks[0].task
    return store.read(services.bucket, keys.TryKeys(plan.org, plan.run, task, attempt).launch, Launch)


def _steps(services: Services, plan: Plan, result: Result, launch: Launch | None) -> tuple[Step, ...]:
    manifest = result.part.manifest if result.part else None
    moments = [
        ("uploaded", plan.source.last_modified),
        ("opened", plan.opened_at),
        ("planned", plan.planned_at),
        ("launched", launch.launched_at if launch else None),
        ("machine started", manifest.started_at if manifest else None),
        ("machine finished", manifest.finished_at if manifest else None),
        ("decided", result.decided_at),
        ("finished", services.clock.now()),
    ]
    return tuple(Step(name=name, at=at) for name, at in moments if at is not None)


def _cost(services: Services, plan: Plan, result: Result, launch: Launch | None) -> Cost:
    """Machine time counts from its creation to its last write, at the size that it had; earlier tries at the same."""
    settings = services.settings
    seconds = 0.0
    if launch is not None:
        end = result.part.manifest.finished_at if result.part else result.decided_at
        seconds = max(0.0, (end - launch.launched_at).total_seconds())
    tries = result.tries
    return Cost(
        machine_s=round(seconds, 3),
        machine_usd=machine_usd(settings, launch.size, seconds) if launch else 0.0,
        egress_usd=egress_usd(settings, plan.source.size_bytes) * tries,
        requests_usd=requests_usd(settings),
    )
