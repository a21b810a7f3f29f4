"""What happened to a run, in the order of time, from its objects in the bucket."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mailtide.api.run_facts import RunFacts, Try

LEVELS = {"DEBUG": "dim", "INFO": "", "WARNING": "yellow", "ERROR": "bold red", "CRITICAL": "bold red"}
"""Level of a line -> how rich shows it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. place: a function, a task with its try, or the bucket."""

    at: datetime
    place: str
    name: str
    level: str = "INFO"
    text: str = ""
    details: dict[str, Any] = field(default_factory=dict)


def events_of(facts: RunFacts) -> list[Event]:
    """Everything that the bucket tells so far, oldest first; the end comes last, whatever the clocks of machines say."""
    found = [*_beginning(facts), *(event for one in facts.tries for event in _of_try(one)), *_decision(facts)]
    return [*sorted(found, key=lambda event: event.at), *_end(facts)]


def _beginning(facts: RunFacts) -> Iterator[Event]:
    plan, marker = facts.plan, facts.marker
    trigger = plan.trigger if plan else marker.trigger if marker else ""
    opened = plan.opened_at if plan else marker.opened_at if marker else None
    if opened is not None:
        yield Event(opened, "bucket", "opened", text=f"by {'an' if trigger == 'upload' else 'a'} {trigger}")
    if plan is not None and plan.rejected is not None:
        yield Event(plan.planned_at, "bucket", "rejected", "ERROR", plan.rejected.message)
    elif plan is not None:
        contacts = f"about {plan.inspection.contacts_estimate:,} contacts, " if plan.inspection else ""
        count = len(plan.tasks)
        machines = f"{count} machines" if count > 1 else str(plan.tasks[0].sizes[0]) if plan.tasks else "no machine"
        text = f"{contacts}{machines}, {plan.expected_s:.1f} s and ${plan.expected_usd:.4f} expected"
        yield Event(plan.planned_at, "bucket", "planned", text=text)
    if facts.cancellation is not None:
        yield Event(facts.cancellation.decided_at, "bucket", "cancelled", "WARNING", facts.cancellation.failure.message)


def _of_try(one: Try) -> Iterator[Event]:
    place = f"{one.paths.task}/{one.paths.attempt}"
    launch, manifest = one.launch, one.manifest
    if launch is not None:
        where = f" in {launch.region}" if launch.region else ""
        yield Event(launch.launched_at, place, "launched", text=f"machine {launch.machine_id}{where}, {launch.size}")
    claim = one.objects.get("claim.json")
    started = manifest.started_at if manifest else claim.last_modified if claim else None
    if started is not None:
        # The bucket tells whole seconds.
        yield Event(max(started, launch.launched_at) if launch else started, place, "working")
    if manifest is not None:
        spent = manifest.timings
        text = f"fetched in {spent.fetch_s:.1f} s, scheduled in {spent.pass_s:.1f} s, sent in {spent.deliver_s:.1f} s"
        yield Event(manifest.finished_at, place, "delivered", text=text)
    if one.failure is not None and "error.json" in one.objects:
        ended = one.objects["error.json"].last_modified
        yield Event(max(ended, launch.launched_at) if launch else ended, place, "failed", "ERROR", one.failure.message)


def _decision(facts: RunFacts) -> Iterator[Event]:
    if facts.result is not None:
        failure = facts.result.failure
        text = f"to end it: {failure.message}" if failure else "to publish it"
        yield Event(facts.result.decided_at, "bucket", "decided", "WARNING" if failure else "INFO", text)


def _end(facts: RunFacts) -> Iterator[Event]:
    done = facts.done
    if done is None:
        return
    level = {"published": "INFO", "failed": "ERROR"}.get(done.status, "WARNING")
    report, cost = done.report or {}, f", about ${done.cost.total_usd:.6f}" if done.cost else ""
    counts = [
        f"{report[name]:,} {name}" for name in ("inserted", "updated", "deleted") if isinstance(report.get(name), int)
    ]
    text = done.reason or (", ".join(counts) + cost if done.changed else f"nothing to change{cost}")
    yield Event(done.finished_at, "bucket", done.status, level, text)


def shown(text: str) -> str:
    """Without anything that a terminal would obey: reasons and logs come from others."""
    return "".join(char if char.isprintable() else " " for char in text)
