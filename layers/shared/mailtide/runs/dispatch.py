"""Which use case a message calls."""

from mailtide.contracts import (
    CollectMessage,
    FinishMessage,
    LaunchMessage,
    Message,
    PlanMessage,
    TickMessage,
    WatchMessage,
    WebhookMessage,
)
from mailtide.runs.collect import collect_parts
from mailtide.runs.finish import finish_run
from mailtide.runs.launch import launch_machine
from mailtide.runs.plan import plan_run
from mailtide.runs.rounds import for_each
from mailtide.runs.services import Services, StepReport
from mailtide.runs.tick import queue_due_runs
from mailtide.runs.watch import watch_open_runs
from mailtide.runs.watch_orgs import sweep_machines, watch_organisations
from mailtide.runs.webhook import send_webhook


def carry_out(services: Services, message: Message | None) -> list[StepReport]:
    """Call the use case of a message and say what it did; None (an event of no meaning here) does nothing."""
    match message:
        case None:
            return [StepReport("ignored")]
        case WatchMessage():
            return _watch(services)
        case _:
            return [_one_step(services, message)]


type _OfOneStep = PlanMessage | TickMessage | LaunchMessage | CollectMessage | FinishMessage | WebhookMessage


def _one_step(services: Services, message: _OfOneStep) -> StepReport:
    match message:
        case PlanMessage():
            return plan_run(services, message)
        case TickMessage():
            return queue_due_runs(services)
        case LaunchMessage():
            return launch_machine(services, message)
        case CollectMessage():
            return collect_parts(services, message)
        case FinishMessage():
            return finish_run(services, message)
        case WebhookMessage():
            return send_webhook(services, message)


def _watch(services: Services) -> list[StepReport]:
    """The three rounds of the watcher; one that fails does not keep the others from their work."""
    found: list[StepReport] = []
    rounds = (watch_open_runs, watch_organisations, sweep_machines)
    for_each(rounds, lambda look: found.extend(look(services)))
    return found or [StepReport("all_quiet")]
