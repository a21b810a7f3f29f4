"""One run as a person wants to see it, from what stands in the bucket."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from mailtide.api.run_facts import RunFacts, Try
from mailtide.contracts import Done, Plan, SourceRef
from mailtide.runs import store

type State = Literal["planning", "launching", "working", "finishing", "published", "failed", "held", "superseded"]
type TryState = Literal["queued", "starting", "working", "delivered", "failed"]
type Action = Literal["cancel", "retry", "approve", "reject"]
type Verdict = Literal["approved", "rejected", "cancelled"]

DOWNLOADS = {
    "contacts.db": "The database as this run delivered it",
    "schedule.changeset": "The changes as an SQLite changeset",
    "schedule.parquet": "The planned mails as Parquet",
}
"""Objects of the try that counts which are worth having, and what they are."""
RECORDS = {
    "plan.json": "What was planned",
    "result.json": "How it was decided",
    "done.json": "How it ended",
}


class RunLine(BaseModel):
    """One run in a list."""

    org: str
    run: str
    state: State = Field(description="The last four are endings.")
    as_of: date | None = Field(default=None, description="The day that it was made for.")
    opened_at: datetime | None = None
    finished_at: datetime | None = None
    reason: str | None = Field(default=None, description="One sentence unless it was published.")
    changed: bool = Field(default=False, description="Whether the schedule is another one now.")
    contacts: int | None = Field(default=None, description="Counted by the pass; estimated before it.")
    tries: int = 0
    usd: float | None = Field(default=None, description="What it cost, about.")
    verdict: Verdict | None = Field(
        default=None, description="What a person said of a held run, or that somebody ended this one."
    )


class Moment(BaseModel):
    """A step in the life of a run."""

    name: str
    at: datetime


class TryView(BaseModel):
    """One try of one task, and its machine."""

    task: str
    attempt: int
    state: TryState
    counts: bool = Field(description="Whether the run goes by what this try delivered.")
    machine_id: str | None = None
    kept: bool = Field(default=False, description="Whether its machine is one of the pool.")
    region: str | None = None
    size: str | None = None
    launched_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    fetch_s: float | None = None
    pass_s: float | None = None
    deliver_s: float | None = None
    error: str | None = None
    seconds: float | None = Field(default=None, description="That its machine is paid for.")
    usd: float | None = None


class PlanView(BaseModel):
    """What was decided before any machine existed."""

    trigger: str
    source_uploaded_at: datetime
    size_bytes: int
    contacts_estimate: int | None
    expected_s: float
    expected_usd: float
    deadline_s: int
    rules_sha256: str
    own_rules: bool
    approved: str | None = Field(description="The held run that this one repeats.")
    warnings: tuple[str, ...]


class FileView(BaseModel):
    """Something to download: GET /v1/runs/{org}/{run}/files/{name}."""

    name: str
    title: str
    size_bytes: int


class RunView(RunLine):
    """One run in full."""

    steps: tuple[Moment, ...]
    tries_made: tuple[TryView, ...]
    plan: PlanView | None
    report: dict[str, Any] | None = Field(description="What the pass counted (mailtide.Report).")
    cost: dict[str, float] | None = Field(description="Seconds and dollars, of a run that has ended.")
    files: tuple[FileView, ...]
    actions: tuple[Action, ...] = Field(description="What may be done with it now.")


def line_of(done: Done, verdict: bool | None = None) -> RunLine:
    """An ended run. verdict: whether a held one was approved."""
    opened = next((step.at for step in done.steps if step.name == "opened"), None)
    word: Verdict | None = "cancelled" if done.cancelled is not None else None
    if verdict is not None:
        word = "approved" if verdict else "rejected"
    return RunLine(
        org=done.org,
        run=done.run,
        state=done.status,
        as_of=done.as_of,
        opened_at=opened,
        finished_at=done.finished_at,
        reason=done.reason,
        changed=done.changed,
        contacts=_count(done.report, "contacts"),
        tries=done.tries,
        usd=round(done.cost.total_usd, 6) if done.cost else None,
        verdict=word,
    )


def open_line(facts: RunFacts) -> RunLine:
    """A run that has not ended."""
    plan, marker = facts.plan, facts.marker
    failures = [one.failure.message for one in facts.tries if one.failure]
    estimate = plan.inspection.contacts_estimate if plan and plan.inspection else None
    cancelled = facts.cancellation if _may_end(facts) else None
    return RunLine(
        org=facts.org,
        run=facts.run,
        state=_open_state(facts),
        as_of=plan.as_of if plan else marker.as_of if marker else None,
        opened_at=plan.opened_at if plan else marker.opened_at if marker else None,
        reason=cancelled.failure.message if cancelled else failures[-1] if failures else None,
        contacts=estimate,
        tries=max((one.paths.attempt for one in facts.tries), default=0),
        verdict="cancelled" if cancelled else None,
    )


def _may_end(facts: RunFacts) -> bool:
    """Whether a person's word counts: nothing was decided before it."""
    failure = facts.result.failure if facts.result else None
    return facts.result is None or (failure is not None and failure.kind == "cancelled")


def view_of(facts: RunFacts, present: SourceRef | None) -> RunView:
    """All that there is to say. present: the organisation's database as it stands now."""
    verdict = facts.verdict.approved if facts.verdict else None
    line = line_of(facts.done, verdict) if facts.done else open_line(facts)
    return RunView(
        **line.model_dump(),
        steps=_steps(facts),
        tries_made=tuple(_try(one, facts.done) for one in facts.tries),
        plan=_plan(facts.plan) if facts.plan else None,
        report=_report(facts),
        cost=_cost(facts.done),
        files=_files(facts),
        actions=_actions(facts, present),
    )


def _open_state(facts: RunFacts) -> State:
    if facts.plan is None:
        return "planning"
    if facts.result is not None or facts.plan.rejected is not None or facts.cancellation is not None:
        return "finishing"
    return "working" if any(one.launch for one in facts.tries) else "launching"


def _steps(facts: RunFacts) -> tuple[Moment, ...]:
    if facts.done is not None and facts.done.steps:
        return tuple(Moment(name=step.name, at=step.at) for step in facts.done.steps)
    plan, marker = facts.plan, facts.marker
    source = plan.source if plan else marker.source if marker else None
    launched = [one.launch.launched_at for one in facts.tries if one.launch]
    manifests = [one.manifest for one in facts.tries if one.manifest]
    moments = [
        ("uploaded", source.last_modified if source else None),
        ("opened", plan.opened_at if plan else marker.opened_at if marker else None),
        ("planned", plan.planned_at if plan else None),
        ("launched", min(launched, default=None)),
        ("machine started", min((one.started_at for one in manifests), default=None) or _claimed(facts)),
        ("machine finished", max((one.finished_at for one in manifests), default=None)),
        ("decided", facts.result.decided_at if facts.result else None),
        ("finished", facts.done.finished_at if facts.done else None),
    ]
    return tuple(Moment(name=name, at=at) for name, at in moments if at is not None)


def _claimed(facts: RunFacts) -> datetime | None:
    claims = [info.last_modified for one in facts.tries for name, info in one.objects.items() if name == "claim.json"]
    return min(claims, default=None)


def _try(one: Try, done: Done | None) -> TryView:
    launch, manifest = one.launch, one.manifest
    paid = _paid(one, done)
    return TryView(
        task=one.paths.task,
        attempt=one.paths.attempt,
        state=_try_state(one),
        counts=one.counts,
        machine_id=launch.machine_id if launch else None,
        kept=bool(launch and launch.kept),
        region=launch.region if launch else None,
        size=str(launch.size) if launch else None,
        launched_at=launch.launched_at if launch else None,
        started_at=manifest.started_at if manifest else None,
        finished_at=manifest.finished_at if manifest else None,
        **(manifest.timings.model_dump(include={"fetch_s", "pass_s", "deliver_s"}) if manifest else {}),
        error=one.failure.message if one.failure else None,
        seconds=paid.get("seconds"),
        usd=paid.get("usd"),
    )


def _try_state(one: Try) -> TryState:
    if one.failure is not None:
        return "failed"
    if "manifest.json" in one.objects:
        return "delivered"
    if "claim.json" in one.objects:
        return "working"
    return "starting" if one.launch else "queued"


def _paid(one: Try, done: Done | None) -> dict[str, Any]:
    """What done.json says of a try's machine, where it lists them."""
    machines: list[dict[str, Any]] = (done.model_dump() if done else {}).get("machines") or []
    wanted = (one.paths.task, one.paths.attempt)
    return next((used for used in machines if (used.get("task"), used.get("attempt")) == wanted), {})


def _plan(plan: Plan) -> PlanView:
    read = plan.inspection
    return PlanView(
        trigger=plan.trigger,
        source_uploaded_at=plan.source.last_modified,
        size_bytes=plan.source.size_bytes,
        contacts_estimate=read.contacts_estimate if read else None,
        expected_s=plan.expected_s,
        expected_usd=plan.expected_usd,
        deadline_s=plan.deadline_s,
        rules_sha256=plan.rules_sha256,
        own_rules=plan.rules_yaml is not None,
        approved=plan.approved,
        warnings=read.warnings if read else (),
    )


def _report(facts: RunFacts) -> dict[str, Any] | None:
    if facts.done is not None and facts.done.report:
        return facts.done.report
    part = facts.result.part if facts.result else None
    return part.manifest.report if part else None


def _cost(done: Done | None) -> dict[str, float] | None:
    if done is None or done.cost is None:
        return None
    known = {name: value for name, value in done.cost.model_dump().items() if isinstance(value, int | float)}
    return {**known, "total_usd": round(done.cost.total_usd, 6)}


def _files(facts: RunFacts) -> tuple[FileView, ...]:
    counting = deciding_try(facts)
    delivered = counting.objects if counting else {}
    found = [(name, title, delivered.get(name)) for name, title in DOWNLOADS.items()]
    found += [(name, title, facts.objects.get(name)) for name, title in RECORDS.items()]
    return tuple(FileView(name=name, title=title, size_bytes=info.size_bytes) for name, title, info in found if info)


def deciding_try(facts: RunFacts) -> Try | None:
    """The try whose delivery the run goes by."""
    part = facts.result.part if facts.result else None
    if part is None:
        return None
    wanted = (part.task, part.attempt)
    return next((one for one in facts.tries if (one.paths.task, one.paths.attempt) == wanted), None)


def _actions(facts: RunFacts, present: SourceRef | None) -> tuple[Action, ...]:
    if facts.done is None:
        return ("cancel",) if facts.marker and not facts.result and not facts.cancellation else ()
    status = facts.done.status
    if status == "failed" and present is not None:
        return ("retry",)
    if status != "held" or facts.verdict is not None:
        return ()
    same = facts.plan is not None and present is not None and store.same_source(facts.plan.source, present)
    return ("approve", "reject") if same else ("reject",)


def _count(report: dict[str, object] | None, name: str) -> int | None:
    value = (report or {}).get(name)
    return value if isinstance(value, int) else None
